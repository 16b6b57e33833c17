# SPDX-License-Identifier: MIT
# cpack runs this before it packs. It adds what Debian policy requires in each package besides its files.
set(packages
    runtime=${CPACK_DEBIAN_RUNTIME_PACKAGE_NAME}
    development=${CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME}
    examples=${CPACK_DEBIAN_EXAMPLES_PACKAGE_NAME}
    documentation=${CPACK_DEBIAN_DOCUMENTATION_PACKAGE_NAME})

string(REGEX REPLACE "-" ";" date "${CPACK_NETBASICS_DATE}")
execute_process(
    COMMAND date --rfc-email --utc --date=${CPACK_NETBASICS_DATE}
    OUTPUT_VARIABLE date OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)

foreach(pair IN LISTS packages)
    string(REGEX MATCH "^([^=]+)=(.+)$" pair "${pair}")
    set(component ${CMAKE_MATCH_1})
    set(package ${CMAKE_MATCH_2})
    set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/${component}/usr)
    set(doc ${root}/share/doc/${package})
    if(NOT EXISTS ${root})
        message(FATAL_ERROR "Nothing to pack for ${package}: expected files in ${root}")
    endif()
    file(REMOVE ${root}/share/doc/netbasics/LICENSE) # is in the copyright file
    file(GLOB left ${root}/share/doc/netbasics/*)
    if(NOT left)
        file(REMOVE_RECURSE ${root}/share/doc/netbasics)
    endif()
    configure_file(${CMAKE_CURRENT_LIST_DIR}/copyright.in ${doc}/copyright @ONLY)
    configure_file(${CMAKE_CURRENT_LIST_DIR}/changelog.in ${doc}/changelog.Debian @ONLY)
    file(GLOB_RECURSE compressed ${root}/share/man/*.[137] ${doc}/changelog.Debian)
    execute_process(COMMAND gzip -9n ${compressed} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
