"""Maps kept in the user's repository, that later maps are compared with: keys, files, update modes."""
