// SPDX-License-Identifier: Apache-2.0
/*
 * An attempt to pay, and the refund after it: two keys at a gateway whose answers get lost and whose
 * requests arrive late. Charged <=> completed or refunded (docs/protocol.md, Payments). One payer, a
 * canceller, and two settlers on two servers whose clocks differ.
 */
#define NO_CLAIM 101        /* whoever answers first settles */
#define NO_KEY 102          /* a settler asks under a key of its own */
#define NO_VOID_AGAIN 103   /* after an unanswered void the call is made again */
#define NO_DATABASE_AGE 104 /* a server judges by its own clock what is old */
#define NO_ASKED_MARK 105   /* "not sent" is believed of any claim */
#define NO_CANCEL_WAIT 106  /* a cancellation does not wait for an open attempt */
#define NO_VOID_FOR_EVER 107 /* a gateway that forgets what it voided */
#define NO_UNKNOWN_KEY 108  /* "I don't know that key" is taken for "no" */
#define NO_SETTLER 109
#define WITHOUT(guard) (no == guard)
#define REACH_VOID 101
#define REACH_REFUND 102
#define REACH_OVERTAKEN 103
#define REACHED(what) if :: reach == what -> reached = 1 :: else -> skip fi

#define PAYER 0
#define CANCELLER 3 /* 1, 2: settlers */
#define PAYMENT 0
#define REFUND 1

/* SQL: per attempt */
#define ABSENT 0
#define OPEN 1
#define DONE 2
#define REFUSED 3
byte attempt[2], claims[2];
bit is_old[2]; /* by the database's clock */
bit cancelled; /* the order, and what it held is given back */

/* the gateway: per key */
#define UNHEARD 0
#define CHARGED 1 /* or, of the refund's key, refunded */
#define DECLINED 2
#define VOIDED 3
byte key[2];
byte other_key;   /* of a settler that made one up */
bit irrevocable;  /* it refuses to void what is charged */
byte late_charges[2], late_voids[2]; /* on their way, nobody waits */

#define IDLE 0
#define TO_ASK 1
#define ASKING 2
#define ANSWERED 3
#define GONE 4
#define APPROVES 1
#define REFUSES 2
#define UNSENT 3
typedef agent_t { byte state, which, claim, answer; bit voiding, void_refused, has_asked };
agent_t agent[4];
hidden byte no, reach, claims_max, losses_max, patient, with_refund;
byte losses; /* answers that did not come in time, and settlers that died */
hidden byte answer_;
byte reached;

c_decl {
    static int setting(const char *name, int otherwise)
    {
        char *value = getenv(name);
        return value ? atoi(value) : otherwise;
    }
};

inline do_charge(k) {
    if
    :: key[k] == UNHEARD -> key[k] = CHARGED; answer_ = APPROVES
    :: key[k] == CHARGED -> answer_ = APPROVES
    :: key[k] == VOIDED && WITHOUT(NO_VOID_FOR_EVER) -> key[k] = CHARGED; answer_ = APPROVES
    :: else -> answer_ = REFUSES
    fi
}
inline do_void(k) {
    if
    :: key[k] == CHARGED && irrevocable -> answer_ = REFUSES
    :: else ->
        answer_ = APPROVES;
        key[k] = VOIDED
    fi
}

/* One transaction, conditional on the attempt's state and claim. */
inline settle(i, k) {
    if
    :: attempt[k] == OPEN && (agent[i].claim == claims[k] || WITHOUT(NO_CLAIM)) ->
        if
        :: agent[i].answer == APPROVES && !agent[i].voiding -> attempt[k] = DONE
        :: else ->
            attempt[k] = REFUSED;
            if
            :: agent[i].voiding -> REACHED(REACH_VOID)
            :: else -> skip
            fi
        fi;
        printf("STEP agent %d settles attempt %d: state %d\n", i, k, attempt[k])
    :: else -> REACHED(REACH_OVERTAKEN)
    fi;
    agent[i].state = GONE
}

#define AGENT agent[i]
#define KEY agent[i].which
proctype asks(byte i) {
end:
    do
    :: d_step { AGENT.state == TO_ASK -> AGENT.state = ASKING; AGENT.has_asked = 1 }
    :: d_step { AGENT.state == TO_ASK && !AGENT.has_asked && (AGENT.claim == 0 || WITHOUT(NO_ASKED_MARK)) ->
            AGENT.answer = UNSENT; AGENT.state = ANSWERED } /* certainly not sent */
    :: d_step { AGENT.state == ASKING && !AGENT.voiding && !(i != PAYER && WITHOUT(NO_KEY)) ->
            do_charge(KEY); AGENT.answer = answer_; AGENT.state = ANSWERED }
    :: d_step { AGENT.state == ASKING && !AGENT.voiding && i != PAYER && WITHOUT(NO_KEY) ->
            other_key = CHARGED; AGENT.answer = APPROVES; AGENT.state = ANSWERED }
    :: d_step { AGENT.state == ASKING && !AGENT.voiding && key[KEY] == UNHEARD ->
            key[KEY] = DECLINED; AGENT.answer = REFUSES; AGENT.state = ANSWERED }
    :: d_step { AGENT.state == ASKING && key[KEY] == UNHEARD && WITHOUT(NO_UNKNOWN_KEY) && i != PAYER ->
            AGENT.answer = REFUSES; AGENT.state = ANSWERED }
    :: d_step { AGENT.state == ASKING && AGENT.voiding -> do_void(KEY);
            if
            :: answer_ == REFUSES -> /* it cannot be undone: the call itself again, under a new claim */
                AGENT.void_refused = 1; AGENT.state = IDLE; AGENT.voiding = 0; AGENT.claim = 0
            :: else -> AGENT.answer = answer_; AGENT.state = ANSWERED
            fi }
    /* Not answered in time: the request may still arrive. */
    :: d_step { AGENT.state == ASKING && losses < losses_max ->
            losses++;
            if
            :: AGENT.voiding -> late_voids[KEY]++
            :: else -> late_charges[KEY]++
            fi;
            printf("STEP agent %d: no answer for key %d, voiding %d\n", i, KEY, AGENT.voiding);
            if
            :: i == PAYER || i == CANCELLER -> AGENT.state = GONE
            :: WITHOUT(NO_VOID_AGAIN) && i != PAYER && i != CANCELLER -> AGENT.state = TO_ASK; AGENT.voiding = 0
            :: else -> AGENT.state = TO_ASK
            fi }
    :: d_step { AGENT.state == ANSWERED -> settle(i, KEY) }
    :: d_step { (i == PAYER || i == CANCELLER) && (AGENT.state == TO_ASK || AGENT.state == ANSWERED) ->
            AGENT.state = GONE } /* killed */
    od
}

/* `patient`: nobody overtakes a settler that is at it; else only `claims_max` ends it. */
#define AT_IT(i, k) (agent[i].which == (k) && (agent[i].state == TO_ASK || agent[i].state == ASKING || \
                                               agent[i].state == ANSWERED))
#define SETTLES(k) ((agent[i].state == IDLE || agent[i].state == GONE) && attempt[k] == OPEN && \
                    claims[k] < claims_max && !WITHOUT(NO_SETTLER) && \
                    !(patient && (AT_IT(1, k) || AT_IT(2, k))))
inline take(i, k, is_voiding) {
    claims[k]++;
    agent[i].claim = claims[k];
    agent[i].which = k;
    agent[i].voiding = is_voiding;
    agent[i].void_refused = 0;
    agent[i].has_asked = 0;
    agent[i].state = TO_ASK;
    printf("STEP settler %d claims attempt %d (%d), voiding %d\n", i, k, claims[k], agent[i].voiding)
}
proctype settler(byte i) {
end:
    do
    :: d_step { SETTLES(PAYMENT) -> take(i, PAYMENT, (is_old[PAYMENT] && !agent[i].void_refused)) }
    :: d_step { SETTLES(REFUND) -> take(i, REFUND, (is_old[REFUND] && !agent[i].void_refused)) }
    :: d_step { SETTLES(PAYMENT) && is_old[PAYMENT] && WITHOUT(NO_DATABASE_AGE) -> take(i, PAYMENT, 0) }
    /* dies, or gives up for now, with a claim in hand: the other one goes on */
    :: d_step { agent[i].state == TO_ASK && losses < losses_max -> losses++; agent[i].state = GONE }
    od
}

proctype world() {
end:
    do
    :: d_step { attempt[0] == OPEN && !is_old[0] -> is_old[0] = 1 }
    :: d_step { attempt[1] == OPEN && !is_old[1] -> is_old[1] = 1 }
    :: d_step { late_charges[0] > 0 -> late_charges[0]--; do_charge(0); printf("STEP late charge\n") }
    :: d_step { late_charges[1] > 0 -> late_charges[1]--; do_charge(1) }
    :: d_step { late_voids[0] > 0 -> late_voids[0]--; do_void(0); printf("STEP late void: key is %d\n", key[0]) }
    :: d_step { late_voids[1] > 0 -> late_voids[1]--; do_void(1) }
    :: d_step { late_charges[0] > 0 -> late_charges[0]-- }
    :: d_step { late_voids[0] > 0 -> late_voids[0]-- }
    :: d_step { late_charges[1] > 0 -> late_charges[1]-- }
    :: d_step { late_voids[1] > 0 -> late_voids[1]-- }
    /* cancelled: a pending order is dropped, a completed one refunded */
    :: d_step { !cancelled && (attempt[0] == REFUSED || (attempt[0] == OPEN && WITHOUT(NO_CANCEL_WAIT))) ->
            cancelled = 1 }
    :: d_step { with_refund && !cancelled && attempt[0] == DONE && attempt[1] == ABSENT ->
            attempt[1] = OPEN; agent[CANCELLER].state = TO_ASK }
    od
}

/* What SQL says of an attempt is so at the gateway, in every state. */
#define TRUE_TO(k) ((attempt[k] != DONE || key[k] == CHARGED) && (attempt[k] != REFUSED || key[k] != CHARGED))
#define PAID_TWICE (other_key == CHARGED)
proctype watch() {
end:
    do
    :: d_step { !(TRUE_TO(0) && TRUE_TO(1)) || PAID_TWICE || (cancelled && attempt[0] == DONE) ->
            printf("BROKEN charged <=> completed or refunded\n"); assert(false) }
    :: d_step { attempt[1] == DONE && reach == REACH_REFUND -> assert(false) }
    :: d_step { reached -> assert(false) }
    :: timeout && patient -> d_step { assert(attempt[0] != OPEN && attempt[1] != OPEN) }; break
    od
}

init {
    d_step {
        c_code {
            no = setting("NO", 0);
            reach = setting("REACH", 0);
            claims_max = setting("CLAIMS", 3);
            losses_max = setting("LOSSES", 2);
            patient = setting("PATIENT", 0);
            with_refund = setting("REFUND", 0);
        };
        attempt[0] = OPEN;
        agent[PAYER].state = TO_ASK;
        agent[CANCELLER].which = REFUND;
        agent[CANCELLER].state = GONE
    };
    if
    :: irrevocable = 1
    :: skip
    fi;
    atomic {
        run asks(0); run asks(1); run asks(2); run asks(3);
        run settler(1); run settler(2);
        run world(); run watch()
    }
}
