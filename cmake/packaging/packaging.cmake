# SPDX-License-Identifier: MIT
# The Debian packages that `cpack` makes in a build directory. (`sh cmake/packaging/debs.sh` builds
# everything that goes into them; `sh cmake/packaging/tarball.sh` makes the source archive.)
set(major_minor ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME netbasics)
set(CPACK_PACKAGE_VENDOR "the netbasics maintainers")
set(CPACK_PACKAGE_CONTACT "netbasics maintainers <maintainers@netbasics.invalid>")
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_COMPONENTS_ALL runtime development examples documentation)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian_files.cmake)
set(CPACK_NETBASICS_SOURCE_DIR ${PROJECT_SOURCE_DIR})
set(CPACK_NETBASICS_DATE ${NETBASICS_RELEASE_DATE})

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}) # our own library
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS OFF)
set(same "(= ${PROJECT_VERSION}-1)")

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libnetbasics${major_minor})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
# Lets other packages find their dependency on this one, and has ldconfig run for the library.
file(WRITE ${PROJECT_BINARY_DIR}/debian/shlibs
    "libnetbasics ${major_minor} libnetbasics${major_minor} (>= ${PROJECT_VERSION})\n")
file(WRITE ${PROJECT_BINARY_DIR}/debian/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA
    ${PROJECT_BINARY_DIR}/debian/shlibs ${PROJECT_BINARY_DIR}/debian/triggers)
# The first line of a description is the package's summary; a common summary would be put in front of it.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION
    "blocking TCP made right and easy - shared library
netbasics is a C library of blocking TCP primitives for servers and clients:
listen, accept, an accept loop with a callback per connection, send-all,
bounded receive, connect, each with a deadline.
.
This package contains the shared library.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libnetbasics-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libnetbasics${major_minor} ${same}")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "netbasics-doc, pkgconf")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
    "blocking TCP made right and easy - development files
netbasics is a C library of blocking TCP primitives for servers and clients:
listen, accept, an accept loop with a callback per connection, send-all,
bounded receive, connect, each with a deadline.
.
This package contains the headers, the static library, the files for CMake and
pkg-config, and the man pages of the functions.")

set(CPACK_DEBIAN_EXAMPLES_PACKAGE_NAME netbasics-examples)
set(CPACK_DEBIAN_EXAMPLES_PACKAGE_SECTION net)
set(CPACK_DEBIAN_EXAMPLES_PACKAGE_DEPENDS "libnetbasics${major_minor} ${same}")
set(CPACK_COMPONENT_EXAMPLES_DESCRIPTION
    "blocking TCP made right and easy - example programs
netbasics is a C library of blocking TCP primitives for servers and clients.
.
This package contains its example programs, time and echo servers with their
clients, and their source code.")

set(CPACK_DEBIAN_DOCUMENTATION_PACKAGE_NAME netbasics-doc)
set(CPACK_DEBIAN_DOCUMENTATION_PACKAGE_SECTION doc)
set(CPACK_DEBIAN_DOCUMENTATION_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DOCUMENTATION_PACKAGE_ARCHITECTURE all)
set(CPACK_COMPONENT_DOCUMENTATION_DESCRIPTION
    "blocking TCP made right and easy - documentation
netbasics is a C library of blocking TCP primitives for servers and clients.
.
This package contains its guides and its reference as web pages.")

include(CPack)
