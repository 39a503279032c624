// SPDX-License-Identifier: Apache-2.0
/* The first state. Settings come from the environment, so that one verifier serves all runs. */
c_decl {
    static int setting(const char *name, int otherwise)
    {
        char *value = getenv(name);
        return value ? atoi(value) : otherwise;
    }
};

init {
    d_step {
        c_code {
            no = setting("NO", 0);
            reach = setting("REACH", 0);
            faults_max = setting("FAULTS", 0);
            hiccups_max = setting("HICCUPS", 0);
            may_fail_over = setting("FAIL_OVER", 0);
            may_restart = setting("RESTART", 0);
            may_flush = setting("FLUSH", 0);
            may_tear = setting("TEAR", 0);
            may_kill = setting("KILL", 0);
            may_pause = setting("PAUSE", 0);
            may_plant = setting("PLANT", 0);
            rebuilds_max = setting("REBUILDS", 0);
            raises_max = setting("RAISES", 0);
            lowers_max = setting("LOWERS", 0);
            epoch_max = setting("EPOCHS", 3);
            slow_tell = setting("SLOW_TELL", 0);
            eager_sweep = setting("EAGER_SWEEP", 0);
            patient = setting("PATIENT", 0);
            with_memory = setting("MEMORY", 0);
            check_rest = setting("REST", 0);
            quantity = setting("QUANTITY", 1);
            kind1 = setting("ATTEMPT1", 0);
            kind2 = setting("ATTEMPT2", 0);
            kind3 = setting("ATTEMPT3", 0);
            server1 = setting("SERVER1", 0);
        };
        att[1].kind = kind1; att[2].kind = kind2; att[3].kind = kind3;
        sql_quantity = quantity;
        sql_epoch = 1; sql_version = 1; opened_epochs = 1;
        sql_lease[0] = 1; sql_lease[1] = 1;
        primary[0] = 1; replid[0] = 1; replid[1] = 1; replid_next = 2;
        gate[0].state = OPEN; gate[0].epoch = 1; gate[0].replid = 1; gate[0].next = 1;
        gate[0].quantity = sql_quantity; gate[0].version = 1;
        copy_gate(1, 0);
        alive[0] = 1; alive[1] = 1; lease[0] = 1; lease[1] = 1;
        known[0] = 1; known[1] = 1; known_version[0] = 1; known_version[1] = 1;
        known_quantity[0] = sql_quantity; known_quantity[1] = sql_quantity;
        att[1].user = 1; att[2].user = 2; att[3].user = 1;
        att[1].server = server1; att[2].server = 1; att[3].server = 1;
        att[1].token = 1; att[2].token = 2; att[3].token = 3;
        att[SWEEP].kind = ISSUE; att[SWEEP].joined = 1
    };
    atomic {
        run attempt(1); run attempt(2); run attempt(3); run attempt(SWEEP);
        run sweeper(0); run sweeper(1);
        run duties(0); run duties(1);
        run rebuilder(0); run rebuilder(1);
        run world(); run administrator(); run watch(); run rest()
    }
}
