"""Fleets: a network for each of hundreds of machines, trained at once.

stack.py      the networks as one, with their gradients
optimizer.py  AdamW and averaged weights over them
batches.py    what each is shown
training.py   the epochs
machines.py   the tables, machine by machine
pool.py       which machines are stacked, and the threads
run.py        from tables to one bundle a machine
results.py    what it came to
"""
