"""What of this machine and this installation helps or hinders predicting, and what to do about it.

Facts are gathered (`gathering`, `places`, and in processes of their own `probing` and `trial`:
a broken library may end the process that imports it), then judged (`libraries`, `judging`).
"""
