/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consensus: multi-Paxos between agents (Lamport, "Paxos Made Simple", 2001; van Renesse and Altinbuken, "Paxos Made
 * Moderately Complex", 2015). A group of members 1..N agrees on one log: slot 1, 2, 3 ... each holds one command, a
 * request id with a value.
 *
 *     consensus.member/GROUP/RANK     durable    acceptor and learner: its promise, what it accepted, the chosen prefix of the log   (consensus.c)
 *     consensus.proposer/GROUP/RANK   volatile   clients propose here; detector, ballots and votes of the rank that leads            (proposer.c)
 *
 *       client --propose--> proposer --forward--> leading proposer --accept--> members     one way to the members,
 *                                                        <------accepted------             one synced write there, one way back: decided
 *                                     <--outcome---                --commit, with the next accept or ping--> members
 *
 * What must survive is in the member and leaves it only after its commit; what the proposer holds can be lost with its
 * process: another leader finds out from a majority of members. All messages are at most once and carried by carrier.h;
 * what is lost is sent again.
 *
 * Names of one rank are shared out so: a ballot is (round, rank) as one number, round << 8 | rank, and is given out by
 * the member of its rank.
 */
#ifndef STEAD_AGENTS_CONSENSUS_H
#define STEAD_AGENTS_CONSENSUS_H

#include "agents/agents.h"
#include "agents/carrier.h"

#define STEAD_CONSENSUS_MEMBER_KIND "consensus.member"
#define STEAD_CONSENSUS_PROPOSER_KIND "consensus.proposer"
#define STEAD_CONSENSUS_MEMBERS_MAX 63u
#define STEAD_CONSENSUS_VALUE_MAX                                                                                      \
    256u                            /* bytes of a command's value: larger things live in agents, a command names them */
#define STEAD_CONSENSUS_ID_SIZE 41u /* bytes of a request id with its zero; "" is a no-op, which fills a slot */
#define STEAD_CONSENSUS_WINDOW 32u  /* slots a leader has open at once */
#define STEAD_CONSENSUS_OPEN_MAX 64u /* slots a member keeps beyond its chosen prefix: twice the window */

/* A member's state; keyed state beside it: `s` + slot, 8 bytes: [ballot, id, value], what was accepted or chosen there;
 * `i` + id: the slot in which it took effect. Everything at or below `chosen` never changes again. */
struct stead_consensus_member {
    uint32_t members; /* of the group; 0: it did not join */
    uint32_t rank;    /* this one's */
    uint32_t ping_ms; /* of its proposer, as the next two */
    uint32_t silence_ms;
    uint32_t answer_ms;
    uint32_t way; /* enum stead_carrier_way */
    uint32_t poll_ms;
    bool silent;       /* told to play dead */
    bool resting;      /* its proposer sleeps until it joins again */
    uint64_t promised; /* highest ballot promised */
    uint64_t chosen;   /* slots 1 to this are decided, and here */
    uint64_t repeats;  /* of them, those whose id took effect in an earlier one */
    uint64_t sent;     /* answers to other ranks since it was loaded; not stored */
};

/* The row of `slot` of the agent whose turn it is: parts are borrowed until the turn ends. STEAD_ENOTFOUND: nothing was
 * accepted there. */
int stead_consensus_row(struct stead_turn *turn, uint64_t slot, uint64_t *ret_ballot, struct stead_slice *ret_id,
                        struct stead_slice *ret_value) STEAD_MUST_USE;

#endif
