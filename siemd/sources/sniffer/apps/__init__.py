"""What the payload of TCP connections tells: streams put in order, the protocols they speak, and the facts of those."""
