// SPDX-License-Identifier: Apache-2.0
#include <uv.h>

#include "gate.h"
#include "gate/gate_internal.h"
#include "gate/missing.h"
#include "shop/shop.h"
