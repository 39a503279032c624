// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stdint.h>
#include <stdio.h>

#include "base/log.h"
#include "base/stamp.h"
