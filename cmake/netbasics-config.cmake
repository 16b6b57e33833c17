# SPDX-License-Identifier: MIT
# find_package(netbasics [COMPONENTS shared static]) gives netbasics::shared and netbasics::static.
# netbasics::netbasics is the one that was requested; without components, or with both, it follows
# BUILD_SHARED_LIBS.
include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/netbasics-targets.cmake)

foreach(component IN LISTS netbasics_FIND_COMPONENTS)
    if(component MATCHES "^(shared|static)$")
        set(netbasics_${component}_FOUND TRUE)
    elseif(netbasics_FIND_REQUIRED_${component})
        set(netbasics_FOUND FALSE)
        set(netbasics_NOT_FOUND_MESSAGE
            "netbasics has no component '${component}', only 'shared' and 'static'")
    endif()
endforeach()

if(NOT TARGET netbasics::netbasics)
    if("${netbasics_FIND_COMPONENTS}" MATCHES "^(shared|static)$")
        add_library(netbasics::netbasics ALIAS netbasics::${netbasics_FIND_COMPONENTS})
    elseif(BUILD_SHARED_LIBS)
        add_library(netbasics::netbasics ALIAS netbasics::shared)
    else()
        add_library(netbasics::netbasics ALIAS netbasics::static)
    endif()
endif()
