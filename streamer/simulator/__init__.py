"""An invented call centre behind the vendor's API: for the demo, for tests and for benchmarks.

It shares no code with `streamer.vendor` and `streamer.core`, so that one misreading of the vendor cannot
cancel itself out.

floor.py   the settings of a floor, and named presets      states.py  codes → states, as the contract says
books.py   the records mod_callcenter keeps for an agent   agenda.py  what happens next, and the clock
calls.py   offers, answers, calls                          shifts.py  breaks, sign-outs, phones, manual calls
world.py   all of these together: rows and truth           faults.py  what goes wrong with which request
damage.py  how an answer looks when it went wrong          api.py     the vendor's API without a network
server.py  the same over HTTP
"""
