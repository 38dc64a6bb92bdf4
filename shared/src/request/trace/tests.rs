use proptest::prelude::*;

use super::*;

const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";

fn forwarded(header: &str) -> Option<String> {
    XRay::read(header).map(|xray| xray.to_string())
}

#[test]
fn forwards_a_header_of_aws_unchanged() {
    for rest in [
        "",
        ";Sampled=0",
        ";Parent=53995c3f42cd8ad8;Sampled=1",
        ";Parent=53995c3f42cd8ad8;Sampled=0;Lineage=037bed70:0",
        ";Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1:fe460cdd:0",
        ";Sampled=1;Lineage=a87bd80c:1|68fd508a:5|c512fbe3:2",
    ] {
        let header = format!("{ROOT}{rest}");
        assert_eq!(forwarded(&header).as_ref(), Some(&header));
    }
    assert_eq!(
        XRay::read(ROOT).map(|xray| xray.root),
        ROOT.strip_prefix("Root=")
    );
}

#[test]
fn drops_unknown_and_malformed_fields_and_orders_the_others() {
    let kept = format!("{ROOT};Parent=53995c3f42cd8ad8;Sampled=1");
    for header in [
        format!("Self=1-67891234-12456789abcdef012345678;{kept}"),
        format!("Sampled=1; Parent=53995c3f42cd8ad8 ;{ROOT}"),
        format!("{kept};Lineage=zoe@shop.example;CalledFrom=app"),
        format!("{kept};;=;Lineage=;x"),
        format!("{kept};Lineage={}", "a".repeat(LINEAGE_CHARS_MAX + 1)),
        format!("{kept};Sampled=0;{ROOT}0"),
    ] {
        assert_eq!(forwarded(&header).as_ref(), Some(&kept), "{header}");
    }
    for rest in [
        ";Parent=53995c3f42cd8ad;Sampled=?",
        ";Parent=53995C3F42CD8AD8;Sampled=01",
        ";Parent={real_parent_id};Sampled=",
    ] {
        let header = format!("{ROOT}{rest}");
        assert_eq!(forwarded(&header).as_deref(), Some(ROOT), "{header}");
    }
}

#[test]
fn drops_a_header_without_a_trace() {
    for header in [
        "",
        ROOT.trim_start_matches("Root="),
        "Parent=53995c3f42cd8ad8",
        "Root=",
        "Root=dummy;Parent=53995c3f42cd8ad8;Sampled=0",
        "Root=1-5759e988",
        "Root=2-5759e988-bd862e3fe1be46a994272793",
        "Root=1-5759e988-bd862e3fe1be46a99427279",
        "Root=1-5759e988-bd862e3fe1be46a994272793a",
        "Root=1-5759E988-bd862e3fe1be46a994272793",
        "Root=1-5759e988-zoe@shop.example.with.it",
        "Root=1-5759e98\u{e9}-bd862e3fe1be46a994272793",
        "Root%3D1-5759e988-bd862e3fe1be46a994272793",
    ] {
        assert_eq!(forwarded(header), None, "{header}");
    }
}

#[test]
fn accepts_only_a_valid_traceparent() {
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for good in [
        good,
        &good.replacen("00", "01", 1),
        &good.replace("-01", "-ff"),
    ] {
        assert!(is_traceparent(good), "{good}");
    }
    for bad in [
        &good.replacen("00", "ff", 1),
        &good.to_uppercase(),
        &good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
        &good.replace("00f067aa0ba902b7", &"0".repeat(16)),
        &format!("{good}-00"),
        &good.replace('-', "_"),
        "",
        "zoe@shop.example",
        &good[1..],
        &format!("{good}-"),
        &good.replace('4', "x"),
    ] {
        assert!(!is_traceparent(bad), "{bad}");
    }
}

#[test]
fn accepts_a_tracestate_within_the_limits_of_w3c() {
    let full = (0..TRACESTATE_MEMBERS_MAX)
        .map(|number| format!("k{number}=v"))
        .collect::<Vec<_>>()
        .join(",");
    let long = format!("a={},b={}", "x".repeat(256), "y".repeat(251));
    assert_eq!(long.len(), TRACESTATE_CHARS_MAX);
    for good in [
        "rojo=00f067aa0ba902b7",
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "fw529a3039@dt=a b ~!, \t dd=s:2;o:rum;p:00f067aa0ba902b7,",
        "k_-*/9=1",
        &format!("{}=1", "k".repeat(256)),
        &format!("{}@{}=1", "1".repeat(241), "k".repeat(14)),
        &full,
        &long,
    ] {
        assert!(is_tracestate(good), "{good}");
    }
    for bad in [
        "",
        " , ,",
        "rojo",
        "rojo=",
        "=1",
        "rojo=1=2",
        "Rojo=1",
        "rojo=\u{e9}",
        "rojo=a\tb",
        "rojo=a\nb",
        "rojo=1,zoe@shop.example",
        "9rojo=1",
        "*rojo=1",
        "a@=1",
        "@a=1",
        "a@9=1",
        "a@b@c=1",
        "rojo =1",
        "rojo=1,congo=2,rojo=1",
        &format!("{full},k=v"),
        &format!("{full},"),
        &format!("{}=1", "k".repeat(257)),
        &format!("{}@k=1", "1".repeat(242)),
        &format!("k@{}=1", "k".repeat(15)),
        &format!("{long}z"),
        &format!("a={}", "x".repeat(257)),
    ] {
        assert!(!is_tracestate(bad), "{bad}");
    }
}

proptest! {
    #[test]
    fn forwards_only_the_form_of_aws(
        header in "((Root|Parent|Sampled|Lineage|Self)?=?(1-)?[0-9a-f]{0,24}-?[0-9a-f:|?]{0,24};?){0,8}|\\PC{0,200}",
    ) {
        if let Some(once) = forwarded(&header) {
            let form = "^Root=1-[0-9a-f]{8}-[0-9a-f]{24}(;Parent=[0-9a-f]{16})?(;Sampled=[01])?(;Lineage=[0-9a-f:|]{1,128})?$";
            prop_assert!(regex::Regex::new(form).unwrap().is_match(&once), "{}", once);
            prop_assert!(once.len() <= 256);
            prop_assert_eq!(forwarded(&once), Some(once));
        }
    }

    #[test]
    fn keeps_the_fields_of_aws_among_others(
        before in "(Self=[0-9a-f-]{0,40};)?", parent in "[0-9a-f]{16}", sampled in "[01]", after in "(;[A-Z][a-z]{1,9}=\\PC{0,20}){0,3}",
    ) {
        prop_assume!(!after.contains("Lineage"));
        let kept = format!("{ROOT};Parent={parent};Sampled={sampled}");
        prop_assert_eq!(forwarded(&format!("{before}{kept}{after}")), Some(kept));
    }

    #[test]
    fn every_accepted_tracestate_is_valid_for_sqs(text in "([a-z0-9]{1,4}=[ -~]{0,40},?){0,20}|\\PC{0,600}") {
        let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        let valid = printable && (1..=TRACESTATE_CHARS_MAX).contains(&text.len());
        prop_assert!(!is_tracestate(&text) || valid);
    }
}
