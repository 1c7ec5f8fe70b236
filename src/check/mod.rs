//! The checks: gather, judge, report; called by `commands::check` and by the daemon.
