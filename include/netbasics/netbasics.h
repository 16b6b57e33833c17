/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief All of netbasics: blocking TCP made right and easy. Include this one.
 */
#ifndef NETBASICS_NETBASICS_H
#define NETBASICS_NETBASICS_H

#include <netbasics/address.h>
#include <netbasics/conn.h>
#include <netbasics/connect.h>
#include <netbasics/deadline.h>
#include <netbasics/error.h>
#include <netbasics/export.h>
#include <netbasics/listener.h>
#include <netbasics/serve.h>
#include <netbasics/version.h>

#endif
