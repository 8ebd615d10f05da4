"""Redis and Valkey, alone, behind Sentinel or as a Cluster: two Lua scripts and two plain reads."""
