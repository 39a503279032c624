// SPDX-License-Identifier: Apache-2.0
int format_me( int a )
{
  return a ;
}
