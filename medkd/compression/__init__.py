"""A registered student made smaller and faster, with what that does to its answers and its explanations."""
