# SPDX-License-Identifier: MIT
# Installs the library: headers, both libraries, and the files with which CMake and pkg-config find them.
include(CMakePackageConfigHelpers)

set(cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/netbasics)

# The components are those of the Debian packages.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME development)

install(TARGETS netbasics_shared netbasics_static EXPORT netbasics-targets
    LIBRARY COMPONENT runtime NAMELINK_COMPONENT development
    ARCHIVE
    FILE_SET HEADERS)
install(EXPORT netbasics-targets NAMESPACE netbasics:: DESTINATION ${cmake_dir})

write_basic_package_version_file(netbasics-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    cmake/netbasics-config.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/netbasics-config-version.cmake
    DESTINATION ${cmake_dir})

# The paths in netbasics.pc are relative to its own folder, so that the whole installation can be moved.
foreach(dir IN ITEMS INSTALL_PREFIX INSTALL_FULL_LIBDIR INSTALL_FULL_INCLUDEDIR)
    cmake_path(RELATIVE_PATH CMAKE_${dir}
        BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig OUTPUT_VARIABLE PC_${dir})
endforeach()
list(TRANSFORM CMAKE_DL_LIBS PREPEND -l OUTPUT_VARIABLE PC_DL_LIBS)
configure_file(cmake/netbasics.pc.in netbasics.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/netbasics.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
