// SPDX-License-Identifier: Apache-2.0
/* Must be found by cppcheck: one past the end. */
int cppcheck_planted(void);

int cppcheck_planted(void)
{
    int places[4] = { 0 };
    for (int i = 0; i <= 4; i++)
        places[i] = i;
    return places[0];
}
