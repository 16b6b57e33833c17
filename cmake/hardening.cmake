# SPDX-License-Identifier: MIT
# Compiler and linker options that make an exploitable bug end the program: checked buffers and stacks,
# guarded jumps and returns, and no memory that is both writable and executable. The built files are checked
# by tests/checks/check_hardening.py.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)

# A libc that does not know level 3 warns about it and uses level 2.
set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
check_c_source_compiles("#include <stdio.h>\nint main(void) { return 0; }" NETBASICS_HAS_FORTIFY_3)
unset(CMAKE_REQUIRED_FLAGS)
if(NETBASICS_HAS_FORTIFY_3)
    set(fortify 3)
else()
    set(fortify 2)
endif()
target_compile_options(netbasics_build INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${fortify})

foreach(flag IN ITEMS stack-protector-strong stack-clash-protection cf-protection)
    string(MAKE_C_IDENTIFIER NETBASICS_HAS_${flag} known)
    check_c_compiler_flag(-f${flag} ${known})
    target_compile_options(netbasics_build INTERFACE $<$<BOOL:${${known}}>:-f${flag}>)
endforeach()

target_link_options(netbasics_build INTERFACE
    LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
