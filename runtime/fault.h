/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault: planted faults. In test builds (STEAD_FAULTS) each bit of settings.hooks breaks one promise on purpose, and
 * the test suite proves that the simulator finds it: a check that was never seen to fail is not trusted. In other
 * builds every test of a fault is the constant 0.
 */
#ifndef STEAD_RUNTIME_FAULT_H
#define STEAD_RUNTIME_FAULT_H

/* X(name, what it breaks) */
#define STEAD_FAULT_LIST(X)                                                                                            \
    X(reply_before_commit, "answers leave before their entry is synced")                                               \
    X(tell_before_commit, "messages leave before their entry is synced")                                               \
    X(acknowledge_before_sync, "channel acknowledgements leave before their entry is synced")                          \
    X(forget_duplicate_check, "a channel takes what it has taken before")                                              \
    X(forget_session, "a session forgets what it has answered when its shard restarts")                                \
    X(forget_open, "a session that is told what has ended forgets the answers of open requests too")                   \
    X(lose_outbox, "outbox records are not found again at a restart")                                                  \
    X(apply_twice, "a turn that was committed runs once more")                                                         \
    X(reuse_channel_number, "numbers start again under a new epoch without their predecessor")                         \
    X(skip_channel_number, "now and then a number is left out, its record never sent")                                 \
    X(lose_timer, "a timer that falls due during a restart is forgotten")                                              \
    X(stale_read, "a read-only op reads the stored state instead of the resident one")                                 \
    X(unload_with_work, "an agent is unloaded although its newest state is not stored")                                \
    X(snapshot_without_events, "a snapshot drops events it does not contain")                                          \
    X(keep_failed_turn, "a failed turn keeps its state change")                                                        \
    X(lose_parked, "a parked message is forgotten at a restart")                                                       \
    X(forget_hold, "an agent that is loaded again is held no more")                                                    \
    X(keep_cancelled_call, "a cancelled call takes its answer all the same")                                           \
    X(never_ask_again, "a request without a channel is not asked for again")                                           \
    X(forget_call_key, "the key of an agent's call is not looked at")                                                  \
    X(copy_without_hold, "copies of several nodes are made without holding what comes from outside")                   \
    X(lose_image_on_events, "the first write of a kind that got events goes over the image that its agent had")        \
    X(drop_unreadable_mail, "what comes for an agent that cannot be read is taken and forgotten")                      \
    X(overtake_mail, "an agent that gets ready does not know of mail that waited for a start")                         \
    X(unreadable_keeps_others, "due rows of an agent that cannot be read keep others' of its slot")                    \
    X(overtake_refused, "a request does not wait for one before it that was refused for the time being")               \
    X(read_error_is_nothing, "rows of the runtime that cannot be read are taken for none")

enum stead_fault {
#define STEAD_FAULT_ENUM(name, what) STEAD_FAULT_##name,
    STEAD_FAULT_LIST(STEAD_FAULT_ENUM)
#undef STEAD_FAULT_ENUM
        STEAD_FAULTS_COUNT
};

#ifdef STEAD_FAULTS
#define STEAD_FAULT(settings, name) ((((settings)->hooks) >> STEAD_FAULT_##name) & 1u)
#else
#define STEAD_FAULT(settings, name) 0
#endif

#endif
