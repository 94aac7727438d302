//! What a run was and how it ended, a JSON line each; and the sum of all.
