//! Curves: shape, inverse, and those of other systems.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::at;
use crate::rollout::{
    Curve, CurveError, FcosRollout, Percent, Period, Point, Share, Template, Wave,
};

fn point(after: Period, percent: u64) -> Point {
    Point { after, share: Share::of_ratio(percent, 100) }
}

fn percent_at(curve: &Curve, hours: f64) -> String {
    curve.share_at(SignedDuration::try_from_secs_f64(hours * 3600.0).unwrap()).to_string()
}

/// Bottlerocket's `default-waves.toml`: where each wave begins, and the per cent before it.
const DEFAULT_WAVES: [(u32, u32); 7] =
    [(0, 1), (1, 4), (5, 24), (15, 48), (40, 96), (60, 120), (90, 144)];

pub(crate) fn default_waves() -> Vec<Wave> {
    let wave = |(percent, hours): (u32, u32)| Wave {
        first_seed: percent * 2048 / 100,
        starts_after: Period::from_hours(hours),
    };
    DEFAULT_WAVES.into_iter().map(wave).collect()
}

#[test]
fn templates_last_six_days_one_day_three_hours_and_thirteen_days() {
    let lengths = Template::ALL.map(|template| template.length().to_string());
    assert_eq!(lengths, ["6d", "1d", "3h", "13d"]);
    for template in Template::ALL {
        let curve = Curve::from(template);
        assert_eq!(curve.length(), template.length());
        assert_eq!(curve.template(), Some(template));
        assert_eq!(Curve::from_points(curve.points().to_vec()).unwrap().points(), curve.points());
    }
    let curve = Curve::from(Template::Default);
    let shares = [0.0, 12.0, 24.0, 48.0, 96.0, 120.0, 132.0, 144.0].map(|h| percent_at(&curve, h));
    assert_eq!(shares, ["0%", "2.5%", "5%", "15%", "40%", "60%", "80%", "100%"]);
}

#[test]
fn nothing_is_open_before_the_first_point_and_a_step_opens_at_its_time() {
    let curve = Curve::from_points(vec![
        point(Period::from_hours(1), 10),
        point(Period::from_hours(2), 10),
        point(Period::from_hours(2), 100),
    ])
    .unwrap();
    let shares = [0.0, 0.99, 1.0, 1.99, 2.0, 9.0].map(|hours| percent_at(&curve, hours));
    assert_eq!(shares, ["0%", "0%", "10%", "10%", "100%", "100%"]);
    assert_eq!(curve.share_at(SignedDuration::MIN), Share::NONE);
    assert_eq!(curve.first_open(Share::NONE), Some(SignedDuration::from_hours(1)));
    assert_eq!(curve.first_open(Share::of_ratio(1, 2)), Some(SignedDuration::from_hours(2)));
    assert_eq!(curve.first_open(Share::ALL), None);
}

#[test]
fn points_that_are_no_curve_are_refused_by_name() {
    let hour = Period::from_hours;
    assert_eq!(Curve::from_points(vec![]), Err(CurveError::Empty));
    assert_eq!(
        Curve::from_points(vec![point(hour(2), 10), point(hour(1), 100)]),
        Err(CurveError::TimeFalls { from: hour(2), to: hour(1) })
    );
    assert!(matches!(
        Curve::from_points(vec![point(hour(1), 20), point(hour(2), 10)]),
        Err(CurveError::ShareFalls { .. })
    ));
    let short = Curve::from_points(vec![point(hour(1), 99)]).unwrap_err();
    assert_eq!(
        short.to_string(),
        "a curve ends at 99%; end it at 100%, or the rest never gets the release"
    );
    let many = vec![point(hour(1), 100); 513];
    assert_eq!(Curve::from_points(many), Err(CurveError::TooManyPoints { points: 513 }));
}

#[test]
fn the_waves_of_bottlerocket_open_forty_per_cent_in_one_instant() {
    let curve = Curve::from_waves(&default_waves()).unwrap();
    let hours = [24.0, 47.9, 48.0, 95.9, 96.0, 119.9, 120.0, 143.9, 144.0];
    let rounded = hours.map(|hours| {
        let share = curve.share_at(SignedDuration::try_from_secs_f64(hours * 3600.0).unwrap());
        share.of(100)
    });
    assert_eq!(rounded, [5, 10, 15, 25, 40, 40, 60, 60, 100]);
    let (jump, when) = curve.steepest(Period::from_mins(5));
    assert_eq!(jump.of(100), 40);
    assert_eq!(when, SignedDuration::from_hours(144));
}

#[test]
fn a_step_and_the_rise_behind_it_open_together() {
    let curve = Curve::from_points(vec![
        point(Period::from_hours(1), 5),
        point(Period::from_hours(2), 13),
        point(Period::from_hours(100), 100),
    ])
    .unwrap();
    let (share, when) = curve.steepest(Period::from_hours(1));
    assert_eq!((share.of(100), when), (13, SignedDuration::from_hours(1)));
}

#[test]
fn waves_out_of_order_are_refused() {
    let wave = |first_seed, hours| Wave { first_seed, starts_after: Period::from_hours(hours) };
    assert_eq!(Curve::from_waves(&[]), Err(CurveError::Empty));
    for waves in [vec![wave(3, 1)], vec![wave(0, 1), wave(0, 2)], vec![wave(0, 1), wave(2048, 2)]] {
        assert!(matches!(Curve::from_waves(&waves), Err(CurveError::OutOfRange { .. })));
    }
    let back = Curve::from_waves(&[wave(0, 2), wave(5, 1)]).unwrap_err();
    assert!(matches!(back, CurveError::TimeFalls { .. }));
}

#[test]
fn a_rollout_of_fedora_coreos_is_straight_from_its_first_share_to_all() {
    let rollout = FcosRollout {
        start_epoch: 1_784_728_800,
        start_percentage: 0.1,
        duration_minutes: Some(2880),
    };
    let (start, curve) = Curve::from_fcos(&rollout).unwrap();
    assert_eq!(start, at("2026-07-22T14:00:00Z"));
    let shares = [0.0, 24.0, 48.0].map(|hours| percent_at(&curve, hours));
    assert_eq!(shares, ["10%", "55%", "100%"]);
    let zero = FcosRollout { duration_minutes: Some(0), ..rollout };
    assert_eq!(Curve::from_fcos(&zero).unwrap().1.length(), Period::from_mins(1));
    let finished = FcosRollout { start_epoch: 0, start_percentage: 1.0, duration_minutes: None };
    assert_eq!(percent_at(&Curve::from_fcos(&finished).unwrap().1, 0.0), "100%");
}

#[test]
fn a_rollout_of_fedora_coreos_out_of_range_is_refused() {
    let good = FcosRollout { start_epoch: 0, start_percentage: 0.5, duration_minutes: Some(60) };
    let what = |rollout: FcosRollout| {
        let error = Curve::from_fcos(&rollout).unwrap_err();
        let CurveError::OutOfRange { what, .. } = error else { panic!("{error}") };
        what
    };
    assert_eq!(what(FcosRollout { start_epoch: i64::MAX, ..good }), "start_epoch");
    assert_eq!(what(FcosRollout { start_percentage: 1.1, ..good }), "start_percentage");
    assert_eq!(what(FcosRollout { start_percentage: f64::NAN, ..good }), "start_percentage");
    assert_eq!(what(FcosRollout { duration_minutes: Some(u64::MAX), ..good }), "duration_minutes");
    assert_eq!(what(FcosRollout { duration_minutes: Some(600_000), ..good }), "duration_minutes");
    let endless = FcosRollout { duration_minutes: None, ..good };
    assert!(matches!(Curve::from_fcos(&endless), Err(CurveError::StopsShort { .. })));
}

#[test]
fn a_share_is_exact_and_shows_two_decimals() {
    assert_eq!(Share::of_ratio(1, 3).to_string(), "33.33%");
    assert_eq!(Share::of_ratio(5, 0), Share::ALL);
    assert_eq!(Share::from_steps(u64::MAX), Share::ALL);
    assert!((Share::of_ratio(1, 4).as_f64() - 0.25).abs() < 1e-15);
    let above = Share::try_from(Percent::from_hundredths(10_001)).unwrap_err();
    assert_eq!(above.why, "it must be at most 100%");
}

prop_compose! {
    pub(crate) fn any_curve()(
        mut points in prop::collection::vec((0_u32..2_000_000, 0_u64..=1000), 0..8),
        last in 0_u32..500_000,
    ) -> Curve {
        let mut times: Vec<u32> = points.iter().map(|point| point.0).collect();
        times.sort_unstable();
        let mut shares: Vec<u64> = points.drain(..).map(|point| point.1).collect();
        shares.sort_unstable();
        let end = times.last().copied().unwrap_or(0) + last;
        let points = times.into_iter().zip(shares).chain([(end, 1000)]);
        let point = |(seconds, share)| Point {
            after: Period::from_secs(seconds),
            share: Share::of_ratio(share, 1000),
        };
        Curve::from_points(points.map(point).collect()).unwrap()
    }
}

proptest! {
    #[test]
    fn a_curve_never_falls(curve in any_curve(), a in -10_i64..3_000_000_000_000_000, b in -10_i64..3_000_000_000_000_000) {
        let (early, late) = (a.min(b), a.max(b));
        let share = |nanos| curve.share_at(SignedDuration::from_nanos(nanos));
        prop_assert!(share(early) <= share(late));
        prop_assert!(share(late) <= Share::ALL);
    }

    #[test]
    fn first_open_is_the_first_instant_at_which_a_place_is_open(curve in any_curve(), place in 0_u64..(1 << 53)) {
        let place = Share::from_steps(place);
        let first = curve.first_open(place).unwrap();
        prop_assert!(place < curve.share_at(first));
        prop_assert!(place >= curve.share_at(first - SignedDuration::from_nanos(1)));
    }

    #[test]
    fn no_tick_opens_more_than_the_steepest(curve in any_curve(), begin in -400_i64..3_000_000, tick in 1_u32..4000) {
        let (most, at) = curve.steepest(Period::from_secs(tick));
        let grown = |begin: SignedDuration| {
            let end = begin + SignedDuration::from_secs(i64::from(tick));
            curve.share_at(begin).up_to(curve.share_at(end))
        };
        prop_assert!(grown(SignedDuration::from_secs(begin)) <= most);
        prop_assert!(at >= SignedDuration::ZERO);
    }
}
