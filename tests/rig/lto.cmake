# SPDX-License-Identifier: MIT
# Included into the project when the tests are run on a library that was optimised at link time. All of it
# but four files: the tests replace functions of theirs at link time, which what has been inlined does not
# notice.
set(root ${CMAKE_CURRENT_SOURCE_DIR})
cmake_language(DEFER DIRECTORY ${root} CALL set_target_properties
    netbasics_static netbasics_shared PROPERTIES INTERPROCEDURAL_OPTIMIZATION ON)
cmake_language(DEFER DIRECTORY ${root} CALL set_source_files_properties
    lib/sys/sys.c lib/sys/library.c lib/serve/admit.c lib/serve/handling.c
    PROPERTIES COMPILE_OPTIONS -fno-lto)
