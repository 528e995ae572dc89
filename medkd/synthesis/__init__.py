"""Pictures that no patient has, made from a teacher, for students that see no case."""
