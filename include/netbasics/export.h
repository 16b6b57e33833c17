/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief How the library's functions are declared: visibility, linkage, and results that matter.
 */
#ifndef NETBASICS_EXPORT_H
#define NETBASICS_EXPORT_H

/** @defgroup export Declarations
 *  @brief The macros in front of every public function.
 *  @{
 */

/** @def NB_API
 *  @brief Marks a function as part of the public interface (the library hides everything else). */
#if defined(__GNUC__)
#define NB_API __attribute__((visibility("default")))
#else
#define NB_API
#endif

/** @def NB_NODISCARD
 *  @brief Marks a result that it is always a bug to ignore; the compiler warns where it is. */
#if defined(__cplusplus) && __cplusplus >= 201703L
#define NB_NODISCARD [[nodiscard]]
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L
#define NB_NODISCARD [[nodiscard]]
#elif defined(__GNUC__)
#define NB_NODISCARD __attribute__((warn_unused_result))
#else
#define NB_NODISCARD
#endif

/** @def NB_BEGIN_DECLS
 *  @brief Opens a block of declarations with C linkage, in C++ as well. */
/** @def NB_END_DECLS
 *  @brief Closes the block that NB_BEGIN_DECLS opened. */
#ifdef __cplusplus
#define NB_BEGIN_DECLS extern "C" {
#define NB_END_DECLS }
#else
#define NB_BEGIN_DECLS
#define NB_END_DECLS
#endif

/** @} */

#endif
