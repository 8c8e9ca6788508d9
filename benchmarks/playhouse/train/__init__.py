"""Training of the playhouse's experts, each through the library that its expert uses."""
