//! What is asked of two engines: lists that a seed determines.

use super::Side;
use crate::Random;
use amqp1_codec::definitions::SenderSettleMode;
use amqp1_engine::Credit;
use core::time::Duration;

/// Something that an application, the network or the clock does.
///
/// Links and sessions are named by a number, modulo how many there are, or by [`NEWEST`].
#[derive(Clone, Debug)]
pub enum Operation {
    /// An end begins a session.
    Begin {
        /// The end.
        side: Side,
        /// The incoming window of the session, in transfers.
        window: u32,
    },
    /// The end that has begun a session attaches a link.
    Attach {
        /// The session.
        session: usize,
        /// Whether that end, or the one that has not begun the session, attaches.
        by_owner: bool,
        /// Whether that end sends.
        sends: bool,
        /// What the sender may do.
        snd: SenderSettleMode,
        /// Whether the receiver waits for the sender to settle (mode second).
        second: bool,
        /// What it allows, if it receives.
        credit: Credit,
    },
    /// Whether an end answers the links that are offered at once, from now on.
    Hold {
        /// The end.
        side: Side,
        /// Whether it waits.
        hold: bool,
    },
    /// A link that waits is answered.
    Answer {
        /// The link.
        link: usize,
        /// Whether it is refused.
        reject: bool,
    },
    /// Messages are sent on a link, as far as credit allows.
    Send {
        /// The link.
        link: usize,
        /// How many.
        count: usize,
        /// Octets of each.
        length: usize,
        /// Whether they are settled.
        settled: bool,
    },
    /// Deliveries of a link are taken.
    Take {
        /// The link.
        link: usize,
        /// How many at most.
        most: usize,
    },
    /// The states of deliveries that were taken are told.
    Dispose {
        /// The link.
        link: usize,
        /// The first of them, modulo how many there are.
        first: usize,
        /// How many.
        count: usize,
        /// Whether the last one comes first.
        backwards: bool,
        /// Which outcome.
        outcome: u8,
    },
    /// A receiver changes its credit.
    SetCredit {
        /// The link.
        link: usize,
        /// The credit.
        credit: Credit,
    },
    /// A receiver drains its link.
    Drain {
        /// The link.
        link: usize,
    },
    /// A sender has nothing more for the receiver that drains the link.
    AnswerDrain {
        /// The link.
        link: usize,
    },
    /// A link is detached.
    Detach {
        /// The link.
        link: usize,
        /// Whether the sender does.
        by_sender: bool,
        /// Whether for good.
        closed: bool,
        /// Whether with an error.
        error: bool,
    },
    /// A session is ended.
    End {
        /// The session.
        session: usize,
        /// Whether the end that has begun it does.
        by_owner: bool,
        /// Whether with an error.
        error: bool,
    },
    /// An end closes the connection.
    Close {
        /// The end.
        side: Side,
        /// Whether with an error.
        error: bool,
    },
    /// Each end writes once and reads one piece, so many times.
    Steps(usize),
    /// Everything arrives.
    Drive,
    /// Time passes.
    Sleep(Duration),
    /// Nothing arrives at an end for some time.
    Stall {
        /// The end.
        side: Side,
        /// For how long.
        lasts: Duration,
    },
    /// The transport breaks after so many octets more.
    Cut {
        /// Those from the client.
        up: Option<usize>,
        /// Those from the server.
        down: Option<usize>,
    },
}

fn side(random: &mut Random) -> Side {
    if random.chance(2) { Side::Client } else { Side::Server }
}

fn credit(random: &mut Random) -> Credit {
    let most = random.pick(&[1, 4, 9, 40, 200]);
    let credit = random.below(most + 1) as u32;
    if random.chance(2) { Credit::Manual(credit) } else { Credit::Window(credit) }
}

fn length(random: &mut Random) -> usize {
    match random.below(12) {
        0..=6 => random.below(120),
        7..=10 => random.below(2500),
        _ => random.below(20_000),
    }
}

impl Operation {
    /// Any operation but a cut. What ends much is rare.
    pub fn any(random: &mut Random) -> Self {
        let number = random.below(1 << 16);
        match random.below(100) {
            0..=2 => Self::Begin { side: side(random), window: random.pick(&[1, 2, 7, 100, 5000]) },
            3..=8 => Self::attach(number, random),
            9 => Self::Hold { side: side(random), hold: random.chance(2) },
            10..=11 => Self::Answer { link: number, reject: random.chance(3) },
            12..=36 => {
                let (count, length) = (1 + random.below(12), length(random));
                Self::Send { link: number, count, length, settled: random.chance(3) }
            }
            37..=48 => Self::Take { link: number, most: 1 + random.below(20) },
            49..=60 => Self::Dispose {
                link: number,
                first: random.below(1 << 16),
                count: random.pick(&[1, 1, 2, 5, 100]),
                backwards: random.chance(3),
                outcome: random.below(usize::from(OUTCOMES)) as u8,
            },
            61..=66 => Self::SetCredit { link: number, credit: credit(random) },
            67..=68 => Self::Drain { link: number },
            69 => Self::AnswerDrain { link: number },
            70..=72 => Self::Detach {
                link: number,
                by_sender: random.chance(2),
                closed: random.chance(2),
                error: random.chance(2),
            },
            73 => Self::End { session: number, by_owner: random.chance(2), error: random.chance(2) },
            74 if random.chance(8) => Self::Close { side: side(random), error: random.chance(2) },
            74..=76 => Self::Sleep(Duration::from_millis(random.pick(&[1, 50, 3000, 70_000]))),
            77..=78 => Self::Stall { side: side(random), lasts: Duration::from_millis(random.below(3000) as u64) },
            79..=84 => Self::Drive,
            _ => Self::Steps(1 + random.below(12)),
        }
    }

    fn attach(session: usize, random: &mut Random) -> Self {
        Self::Attach {
            session,
            by_owner: !random.chance(3),
            sends: random.chance(2),
            snd: random.pick(&[
                SenderSettleMode::Mixed,
                SenderSettleMode::Mixed,
                SenderSettleMode::Settled,
                SenderSettleMode::Unsettled,
            ]),
            second: random.chance(2),
            credit: credit(random),
        }
    }

    /// The transport breaks, one way or both.
    pub fn cut(random: &mut Random) -> Self {
        let octets = |random: &mut Random| {
            let most = random.pick(&[1, 100, 5000]);
            Some(random.below(most))
        };
        match random.below(3) {
            0 => Self::Cut { up: octets(random), down: None },
            1 => Self::Cut { up: None, down: octets(random) },
            _ => Self::Cut { up: octets(random), down: octets(random) },
        }
    }

    /// Two sessions and four links, so that there is something to work with.
    pub fn opening(random: &mut Random) -> Vec<Self> {
        let mut list = Vec::new();
        for (session, side) in [Side::Client, Side::Server].into_iter().enumerate() {
            list.push(Self::Begin { side, window: random.pick(&[1, 2, 7, 5000]) });
            list.extend([Self::attach(session, random), Self::attach(session, random)]);
        }
        if !random.chance(4) {
            list.push(Self::Drive);
        }
        list
    }

    /// Links and sessions that come and go, more of them than there are handles and channels.
    fn churn(random: &mut Random) -> Vec<Self> {
        let mut list = Self::opening(random);
        for _ in 0..80 {
            list.push(Self::attach(0, random));
            list.push(Self::Drive);
            list.push(Self::Send { link: NEWEST, count: 2, length: length(random), settled: random.chance(2) });
            let (by_sender, closed, error) = (random.chance(2), random.chance(2), random.chance(2));
            list.push(Self::Detach { link: NEWEST, by_sender, closed, error });
            if random.chance(3) {
                list.push(Self::Begin { side: side(random), window: 5 });
                list.push(Self::Drive);
                list.push(Self::End { session: NEWEST, by_owner: true, error: random.chance(2) });
            }
            list.push(Self::Drive);
        }
        list
    }

    /// A list that a seed determines. In one of 32 links come and go all the time. In one of eight the transport breaks somewhere.
    pub fn list(seed: u64) -> Vec<Self> {
        let random = &mut Random::new(seed ^ 0x6f70_6572_6174_696f);
        if random.chance(32) {
            return Self::churn(random);
        }
        let mut list = Self::opening(random);
        let most = random.pick(&[10, 60, 150, 250]);
        list.extend((0..=random.below(most)).map(|_| Self::any(random)));
        if random.chance(8) {
            let at = random.below(list.len() + 1);
            list.insert(at, Self::cut(random));
        }
        if random.chance(5) {
            list.extend(Self::farewell(random));
        }
        list
    }

    /// A list that octets determine, two for each operation, and the seed of its engines and pipes: for fuzzing.
    pub fn of_octets(octets: &[u8]) -> (u64, Vec<Self>) {
        /// More than any finding needs.
        const MOST: usize = 200;
        let (seed, octets) = octets.split_first().map_or((0, octets), |(seed, rest)| (u64::from(*seed), rest));
        let mut list = Self::opening(&mut Random::new(seed));
        let pairs = octets.chunks_exact(2).take(MOST).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1]));
        // A transport breaks once.
        let mut whole = true;
        list.extend(pairs.map(|pair| match &mut Random::new(pair) {
            random if pair == u64::from(u16::MAX) && core::mem::take(&mut whole) => Self::cut(random),
            random => Self::any(random),
        }));
        // There are channels and handles for so many; what happens beyond has tests of its own.
        let (mut sessions, mut links) = (0, 0);
        list.retain(|operation| match operation {
            Self::Begin { .. } => {
                sessions += 1;
                sessions <= 12
            }
            Self::Attach { .. } => {
                links += 1;
                links <= 60
            }
            _ => true,
        });
        (seed, list)
    }

    /// Messages, and behind them an end in peace: they leave first.
    fn farewell(random: &mut Random) -> [Self; 4] {
        let (link, side) = (random.below(1 << 16), side(random));
        let end = match random.below(3) {
            0 => Self::Detach { link, by_sender: true, closed: random.chance(2), error: false },
            1 => Self::End { session: random.below(1 << 16), by_owner: random.chance(2), error: false },
            _ => Self::Close { side, error: false },
        };
        let send = |link, random: &mut Random| {
            let length = length(random);
            Self::Send { link, count: 9, length, settled: random.chance(2) }
        };
        [Self::Drive, send(link, random), send(link + 1, random), end]
    }
}

/// The number of the newest link or session.
pub const NEWEST: usize = usize::MAX;

/// How many states [`Operation::Dispose`] knows.
pub(super) const OUTCOMES: u8 = 6;
