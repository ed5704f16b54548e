/* SPDX-License-Identifier: Apache-2.0 */
/* Everything: errors, values, agents, orchestrations and the client. */
#ifndef STEAD_STEAD_H
#define STEAD_STEAD_H

#include "stead/agent.h"
#include "stead/client.h"
#include "stead/error.h"
#include "stead/fiber.h"
#include "stead/orchestration.h"
#include "stead/orchestration_client.h"
#include "stead/value.h"

#define STEAD_VERSION "0.1.0"

#endif
