/*
 * The release handshake, for the model checker spin.
 *
 * Two agents and the wire between them. It is the protocol of src/NodeAgent/Transfer/PeerProtocol.cs, and the phases and what leads from one to the next are
 * those of src/NodeAgent/Migration/SourceTransitions.cs and DestinationTransitions.cs, under the same names:
 *
 *   source       Accepted -CopyBegins-> Copying -FreezeBegins-> Freezing -Release-> Released -PeerRuns-> Removing -Removed-> Moved
 *                Released -PeerFailed or PeerGone-> Reverting; Accepted, Copying, Freezing -Abort-> Reverting -Reverted-> Stayed
 *                Released -PeerFetches-> Serving -PeerRuns-> Removing; Serving -PeerFailed or PeerGone-> Reverting (post-copy)
 *   destination  Announced -Offered-> Receiving -Complete-> Ready -Release-> Resuming -Restored-> Running
 *                Resuming -RestoreFailed-> Failed; Announced, Receiving, Ready -Forget-> Failed; Ready, Resuming, Running -LostByReboot-> Failed
 *                Running -SourceLost-> Failed
 *
 * Post-copy is a choice made at the freeze: "away" is then true until the destination has journaled that it has fetched everything, and can become false only
 * while the frozen copy at the source is there.
 *
 * A test (NodeAgent.Tests, SpinTests) compares the tables in the comments marked "table" below with the product's own, so neither changes alone.
 *
 * What the world may do: lose, duplicate and reorder every message; kill and restart either agent at any point (what is journaled stays, what is not is forgotten);
 * reboot either host (its tasks end, its journal stays, but a source's last record while the container stands still may be lost: the agent does not wait for the disk
 * then); take a destination's power for good, after which a person says so to the source (evacuator settle). Crashes and reboots are limited in number, since each multiplies the states; losses are not.
 *
 * What is proven: never two running (assert in each state); nothing is removed at the source before it ran at the destination, nor while memory of it is away; and, as long as no host is rebooted
 * and messages arrive in the end, exactly one is running in the end, from every state, and both sides end.
 *
 * -DNO_REBOOT          no host is rebooted: for the claim "always one in the end"
 * -DBREAK_n            variants with one rule left out, each of which must be found to be wrong:
 *   1  the source thaws when it hears nothing after the release, instead of asking on
 *   2  a destination that has said FAILED may still be released
 *   3  the source removes on READY, not on RUNNING
 *   4  a source that comes up again in Freezing after a power cut thinks that it was not released and answers nothing
 *      (as a start of the container by hand would make it: it runs the tasks again)
 *   5  a destination that lost its journal of the move says FAILED and takes a second offer under the same id
 *   6  the destination runs the container when it is Ready, without being released
 *   7  FAILED is answered before what a failed restore left has been removed
 *   9  the source removes when it has heard RUNNING, although memory is away
 *  10  a destination that was told that the source was rebooted while memory was away lets the container run on
 *   8  a destination that has failed does not say so (found as an end in which the source waits for ever, frozen)
 */

/* table source
 * Accepted CopyBegins Copying
 * Copying FreezeBegins Freezing
 * Freezing Release Released
 * Released PeerRuns Removing
 * Released PeerFetches Serving
 * Serving PeerRuns Removing
 * Serving PeerFailed Reverting
 * Serving PeerGone Reverting
 * Released PeerFailed Reverting
 * Released PeerGone Reverting
 * Removing Removed Moved
 * Accepted Abort Reverting
 * Copying Abort Reverting
 * Freezing Abort Reverting
 * Reverting Reverted Stayed
 */

/* table destination
 * Announced Offered Receiving
 * Receiving Complete Ready
 * Ready Release Resuming
 * Resuming Restored Running
 * Resuming RestoreFailed Failed
 * Announced Forget Failed
 * Receiving Forget Failed
 * Ready Forget Failed
 * Ready LostByReboot Failed
 * Resuming LostByReboot Failed
 * Running LostByReboot Failed
 * Running SourceLost Failed
 */

#ifndef CRASHES
#define CRASHES 2
#endif

mtype:source = { Accepted, Copying, Freezing, Released, Removing, Moved, Reverting, Stayed, Serving };
mtype:destination = { Announced, Receiving, Ready, Resuming, Running, Failed };
mtype:tasks = { None, Runs, Frozen };

/* Journaled: survives a restart. */
mtype:source s = Accepted;
mtype:destination d = Announced;
bool known = false;                 /* the destination has been told that the source knows (POST known) */
bool away = false;                  /* memory was left at the source, and the destination has not noted that it has all of it */

/* In the kernel: survives the agent, not the host. */
mtype:tasks here = Runs;
mtype:tasks there = None;

/* In memory of the source's agent only. */
bool heardReady = false;

/*
 * The wire. A request or an answer that has been sent may arrive at any later time, any number of times, or never: each kind is a bit that stays set. That is
 * loss, duplication and reordering at once, with fewer states than a channel of messages.
 */
bool offerSent = false, completeSent = false, readySent = false, releaseSent = false, runningSent = false, failedSent = false, forgetSent = false, knownSent = false;
bool fetchesSent = false, lostSent = false;

bool everRan = false;
bool sourceRebooted = false, rebooted = false;
bool gone = false;                  /* the destination's host is off for good and says nothing any more */
byte crashes = 0;

#define sourceEnded (s == Moved || s == Stayed)
#define destinationEnded (d == Running || d == Failed)

inline check() {
    assert(!(here == Runs && there == Runs));
    assert(!(s == Removing || s == Moved) || everRan);
    assert(!(there == Runs && away) || here == Frozen || sourceRebooted);
    assert(!(s == Stayed && sourceRebooted && away) || there == None)
}

/* Each option is one atomic step: the journal is written and then the world is changed, and a crash in between is a crash before the next step (both are idempotent). */
active proctype Source() {
    do
    :: atomic { s == Accepted -> s = Copying; offerSent = true; check() }
    :: atomic { s == Copying && d == Receiving -> s = Freezing; check() }
       /* after the journal: a crash here leaves Freezing with tasks that still run, which Reverting thaws to no effect */
    :: atomic { s == Freezing && here == Runs && !heardReady -> here = Frozen; completeSent = true; if :: away = true :: skip fi; check() }
    :: atomic { s == Freezing && here == Frozen && readySent && !heardReady -> heardReady = true; check() }
#ifdef BREAK_3
    :: atomic { s == Freezing && heardReady -> s = Removing; check() }
#endif
    :: atomic { s == Freezing && heardReady && here == Frozen -> s = Released; check() }
    :: atomic { s == Released && !releaseSent -> releaseSent = true; check() }
    :: atomic { s == Released && fetchesSent -> s = Serving; check() }
#ifdef BREAK_9
    :: atomic { (s == Released || s == Serving) && (runningSent || fetchesSent) -> s = Removing; check() }
#endif
    :: atomic { (s == Released || s == Serving) && runningSent -> s = Removing; check() }
    :: atomic { (s == Released || s == Serving) && failedSent -> s = Reverting; check() }
       /* a person has seen that it is off */
    :: atomic { (s == Released || s == Serving) && gone -> s = Reverting; check() }
       /* what it has left here is gone with an earlier boot */
    :: atomic { (s == Released || s == Serving) && away && sourceRebooted && !lostSent -> lostSent = true; check() }
#ifdef BREAK_1
    :: atomic { s == Released -> s = Reverting; check() }
#endif
    :: atomic { s == Removing -> here = None; knownSent = true; s = Moved; check() }
       /* an error, the budget, a cancel: at any time before the release */
    :: atomic { s == Accepted || s == Copying || s == Freezing -> s = Reverting; heardReady = false; check() }
    :: atomic { s == Reverting -> if :: here == Frozen -> here = Runs :: else fi; forgetSent = true; s = Stayed; check() }
    :: sourceEnded -> break
    od
}

active proctype Destination() {
    do
    :: atomic { d == Announced && offerSent -> d = Receiving; check() }
    :: atomic { d == Receiving && completeSent -> d = Ready; readySent = true; check() }
#ifdef BREAK_6
    :: atomic { d == Ready -> d = Resuming; check() }
#endif
    :: atomic { d == Ready && releaseSent -> d = Resuming; check() }
       /* runc and CRIU have restored it; the journal comes before the link and the thaw */
    :: atomic { d == Resuming -> d = Running; there = Runs; everRan = true; check() }
#ifdef BREAK_7
    :: atomic { d == Resuming -> there = Runs; d = Failed; check() }
#else
    :: atomic { d == Resuming -> there = None; d = Failed; check() }
#endif
    :: atomic { d == Running && !away && (releaseSent || lostSent) && !runningSent -> runningSent = true; check() }
       /* post-copy: it runs and fetches; the last page is noted in the journal */
    :: atomic { d == Running && away && releaseSent && !fetchesSent -> fetchesSent = true; check() }
    :: atomic { d == Running && away && here == Frozen && (s == Released || s == Serving) -> away = false; check() }
       /* nobody can bring what is missing */
#ifdef BREAK_10
    :: atomic { (d == Running || d == Ready) && away && lostSent && !failedSent -> failedSent = true; check() }
#else
    :: atomic { d == Running && away && lostSent -> there = None; d = Failed; check() }
#endif
#ifndef BREAK_8
    :: atomic { d == Failed && !gone && (releaseSent || forgetSent || lostSent) && !failedSent -> failedSent = true; check() }
#endif
    :: atomic { d == Running && !away && knownSent && !known -> known = true; check() }
       /* a lease, the own brain, a restart while it arrives, the source's request */
    :: atomic { d == Announced || d == Receiving || d == Ready -> d = Failed; check() }
#ifdef BREAK_2
    :: atomic { d == Failed && releaseSent -> d = Resuming; check() }
#endif
#ifdef BREAK_5
    :: atomic { d == Failed && offerSent && !everRan -> d = Receiving; check() }
#endif
       /* Done when nothing can be asked of it any more: until then it answers. */
    :: destinationEnded && sourceEnded && (d != Running || known || s != Moved) -> break
    od
}

/* kill -9, an upgrade: what is in memory is gone, and the next life goes on from the journal. */
active proctype Restarts() {
    do
    :: atomic { crashes < CRASHES && !sourceEnded ->
        crashes++;
        heardReady = false;
        if
        :: s == Accepted || s == Copying || s == Freezing -> s = Reverting
        :: else
        fi;
        check() }
    :: atomic { crashes < CRASHES && !destinationEnded ->
        crashes++;
        if
        :: d == Announced || d == Receiving -> d = Failed
        :: else
        fi;
        check() }
    :: break
    od
}

#ifndef NO_REBOOT
/* A power cut: the tasks of that host are gone. */
active proctype Reboots() {
    do
    :: atomic { !sourceRebooted && !(s == Moved) ->
        sourceRebooted = true; rebooted = true;
        here = None; heardReady = false;
        if
           /* The record Released may not have reached the disk: it comes up in Freezing, and asks the destination (SourceMove.AskAfterRebootAsync). */
        :: s == Released -> s = Freezing
        :: else
        fi;
        if
#ifdef BREAK_4
        :: s == Freezing -> here = Runs; s = Reverting
#else
        :: s == Freezing && (d == Resuming || d == Running) -> s = Released; releaseSent = true
           /* asks to be forgotten first, and goes back only when that has been answered */
        :: s == Freezing && !(d == Resuming || d == Running) -> d = Failed; s = Reverting
#endif
        :: s == Accepted || s == Copying -> s = Reverting
        :: else
        fi;
        check() }
    :: atomic { !gone -> gone = true; rebooted = true; there = None; d = Failed; check() }
    :: atomic { !gone && (!rebooted || d != Failed) ->
        rebooted = true;
        there = None;
        if
        :: d == Running && known -> break
        :: d == Running && !known -> d = Failed
        :: d == Ready || d == Resuming || d == Announced || d == Receiving -> d = Failed
        :: else -> break
        fi;
        check() }
    :: break
    od
}
#endif

#ifdef NO_REBOOT
/* Once both have ended they have ended for ever, and one runs. Checked with weak fairness: a step that stays possible is taken in the end. */
ltl one { <>[] (sourceEnded && destinationEnded && ((here == Runs && there == None) || (here == None && there == Runs))) }
#endif
