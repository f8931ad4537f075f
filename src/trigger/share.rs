//! How triggers are shared out among servers: pure arithmetic, the same on every server.
//!
//! Each server takes what is free up to its share, and gives a few away at a time when another has too few. Nobody
//! decides for another, so nobody must be asked.

/// Triggers given away at once: each is down for the moment it takes to close here and connect there, and few of
/// them storm nobody.
const GIVE_AT_ONCE: i64 = 16;

/// What a server does now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Takes so many of the free ones.
    pub(super) take: i64,
    /// Gives so many of its own away.
    pub(super) give: i64,
}

/// The plan of the server `me`: `holdings` is how many triggers each server holds, `free` how many nobody does.
/// `overdue`: those whose share they would be have let them lie; then they are taken by whoever looks.
pub(super) fn plan(me: i64, holdings: &[(i64, i64)], free: i64, overdue: bool) -> Plan {
    let Some((_, mine)) = holdings.iter().copied().find(|(fence, _)| *fence == me) else {
        return Plan::default();
    };
    let servers = i64::try_from(holdings.len()).unwrap_or(i64::MAX);
    let all = free + holdings.iter().map(|(_, count)| count).sum::<i64>();
    let (floor, ceiling) = (all / servers, (all + servers - 1) / servers);
    let take = if overdue {
        free
    } else {
        (ceiling - mine).clamp(0, free)
    };
    let lacking: i64 = holdings
        .iter()
        .map(|(_, count)| (floor - count).max(0))
        .sum::<i64>()
        - free;
    let give = if take == 0 && lacking > 0 {
        (mine - ceiling)
            .max(lacking.min(mine - floor))
            .clamp(0, GIVE_AT_ONCE)
    } else {
        0
    };
    Plan { take, give }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even() {
        for (holdings, free, take, give) in [
            (&[(1, 0)][..], 10, 10, 0),
            (&[(1, 0), (2, 0)], 5, 3, 0),
            (&[(1, 3), (2, 0)], 2, 0, 0),
            (&[(1, 5), (2, 0)], 0, 0, 2),
            (&[(1, 3), (2, 2)], 0, 0, 0),
            (&[(1, 2), (2, 2), (3, 0)], 0, 0, 1),
            (&[(1, 1), (2, 1), (3, 2)], 0, 0, 0),
            (&[(1, 0), (2, 4), (3, 0)], 0, 0, 0),
            (&[(1, 5_000), (2, 0)], 0, 0, GIVE_AT_ONCE),
        ] {
            let wanted = Plan { take, give };
            assert_eq!(
                plan(1, holdings, free, false),
                wanted,
                "{holdings:?}, {free} free"
            );
        }
        assert_eq!(plan(1, &[(1, 9), (2, 0)], 4, true).take, 4);
        assert_eq!(plan(3, &[(1, 9)], 4, false), Plan::default());
    }

    /// Whatever the start, some rounds later every server holds its share, and nobody moves anything any more.
    #[test]
    fn rounds_come_to_rest() {
        for start in [
            vec![100, 0, 0],
            vec![7, 7, 0],
            vec![1, 0],
            vec![0, 0, 0, 41],
            vec![3, 9, 1, 0, 0],
        ] {
            let mut held: Vec<(i64, i64)> = (1..).zip(start.iter().copied()).collect();
            let (mut free, mut moved) = (11, 0);
            for _ in 0..100 {
                moved = 0;
                for index in 0..held.len() {
                    let plan = plan(held[index].0, &held, free, false);
                    held[index].1 += plan.take - plan.give;
                    free += plan.give - plan.take;
                    moved += plan.give + plan.take;
                }
            }
            let counts: Vec<i64> = held.iter().map(|(_, count)| *count).collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(
                most - least <= 1 && free == 0 && moved == 0,
                "{start:?} became {counts:?}"
            );
        }
    }
}
