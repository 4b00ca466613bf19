//! Roles and rights: who somebody is, and what a route asks for.

/// What a user or token may do. Each may do all that the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Sees.
    Viewer,
    /// Runs things: tests, dry runs, the playground.
    Operator,
    /// Changes the configuration.
    Admin,
    /// Says who may do what.
    Owner,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Operator, Role::Admin, Role::Owner];

    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
            Role::Owner => "owner",
        }
    }

    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// What a route asks of whoever calls it.
///
/// A right with `OwnTeam` in its name also takes callers of one team: its handler shows and changes what is of
/// `Caller::team` alone. All others refuse them, so that a handler which knows nothing of teams leaks nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Anybody, without a word.
    Open,
    /// A peer on this machine, or whoever may `Read`.
    Local,
    /// Whoever is known: his own session, his own password.
    Known,
    Read,
    ReadOwnTeam,
    Operate,
    OperateOwnTeam,
    Change,
    ChangeOwnTeam,
    Own,
}

impl Right {
    pub const ALL: [Right; 10] = [
        Right::Open,
        Right::Local,
        Right::Known,
        Right::Read,
        Right::ReadOwnTeam,
        Right::Operate,
        Right::OperateOwnTeam,
        Right::Change,
        Right::ChangeOwnTeam,
        Right::Own,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Right::Open => "open",
            Right::Local => "local",
            Right::Known => "known",
            Right::Read => "read",
            Right::ReadOwnTeam => "read own team",
            Right::Operate => "operate",
            Right::OperateOwnTeam => "operate own team",
            Right::Change => "change",
            Right::ChangeOwnTeam => "change own team",
            Right::Own => "own",
        }
    }

    /// The least role that it is given to; `None` where it needs no caller.
    pub fn least_role(self) -> Option<Role> {
        match self {
            Right::Open => None,
            Right::Local | Right::Known | Right::Read | Right::ReadOwnTeam => Some(Role::Viewer),
            Right::Operate | Right::OperateOwnTeam => Some(Role::Operator),
            Right::Change | Right::ChangeOwnTeam => Some(Role::Admin),
            Right::Own => Some(Role::Owner),
        }
    }

    /// Does it take callers of one team?
    pub fn is_for_teams(self) -> bool {
        matches!(self, Right::Open | Right::Known | Right::ReadOwnTeam | Right::OperateOwnTeam | Right::ChangeOwnTeam)
    }

    /// May somebody of this role and team use it?
    pub fn is_given(self, role: Role, team: Option<&str>) -> bool {
        self.least_role().is_none_or(|least| role >= least) && (team.is_none() || self.is_for_teams())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_one_before_it_may() {
        for right in Right::ALL {
            let given: Vec<bool> = Role::ALL.into_iter().map(|role| right.is_given(role, None)).collect();
            assert!(given.is_sorted(), "{right:?}: {given:?}");
            assert!(right.is_given(Role::Owner, None));
        }
        assert!(!Right::Own.is_given(Role::Admin, None));
        assert!(!Right::Change.is_given(Role::Operator, None));
    }

    #[test]
    fn a_team_is_shut_out_of_what_does_not_ask_for_teams() {
        assert!(!Right::Read.is_given(Role::Admin, Some("apps")));
        assert!(Right::ReadOwnTeam.is_given(Role::Viewer, Some("apps")));
        assert!(!Right::ChangeOwnTeam.is_given(Role::Viewer, Some("apps")));
    }

    #[test]
    fn roles_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.name()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
    }
}
