//! Envelopes under attack.

use proptest::prelude::*;

use super::super::master_key::MasterKey;
use super::*;

fn key(base64: &str) -> MasterKey {
    MasterKey::parse(base64).unwrap()
}

fn sealer() -> Sealer {
    key("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").sealer()
}

fn other() -> Sealer {
    key("//////////////////////////////////////////8=").sealer()
}

fn slot() -> Slot<'static> {
    Slot::of_server("1", "env:A")
}

fn sealed(text: &str) -> Vec<u8> {
    sealer().seal(&slot(), text.as_bytes()).unwrap()
}

proptest! {
    #[test]
    fn what_is_sealed_opens_in_its_slot(row in ".*", field in ".*", text in ".*") {
        let slot = Slot::of_server(&row, &field);
        let envelope = sealer().seal(&slot, text.as_bytes()).unwrap();
        prop_assert_eq!(sealer().open(&slot, &envelope).unwrap(), text.as_bytes());
    }

    #[test]
    fn an_envelope_opens_in_no_other_slot(row in "[a-c]{0,3}", field in "[a-c]{0,3}", other_row in "[a-c]{0,3}", other_field in "[a-c]{0,3}") {
        let (slot, other) = (Slot::of_server(&row, &field), Slot::of_server(&other_row, &other_field));
        let envelope = sealer().seal(&slot, b"text").unwrap();
        prop_assert_eq!(sealer().open(&other, &envelope).is_ok(), slot == other);
    }
}

#[test]
fn no_bit_of_an_envelope_can_be_changed() {
    let envelope = sealed("a secret");
    for bit in 0..envelope.len() * 8 {
        let mut edited = envelope.clone();
        edited[bit / 8] ^= 1 << (bit % 8);
        assert!(sealer().open(&slot(), &edited).is_err(), "bit {bit}");
    }
}

#[test]
fn an_envelope_that_is_cut_or_longer_does_not_open() {
    let mut envelope = sealed("a secret");
    for length in 0..envelope.len() {
        assert!(sealer().open(&slot(), &envelope[..length]).is_err(), "{length} bytes");
    }
    envelope.push(0);
    assert!(sealer().open(&slot(), &envelope).is_err());
}

#[test]
fn the_parts_of_two_envelopes_cannot_be_mixed() {
    let (one, other) = (sealed("one"), sealed("other"));
    let mixed = [&one[..=SEALED_KEY_BYTES], &other[1 + SEALED_KEY_BYTES..]].concat();
    assert!(sealer().open(&slot(), &mixed).is_err());
}

#[test]
fn another_master_key_does_not_open_it() {
    let error = other().open(&slot(), &sealed("a secret")).err().unwrap();
    assert!(matches!(error, VaultError::DoesNotOpen { table: "secret", .. }));
}

#[test]
fn the_same_text_is_never_sealed_the_same_way() {
    let (one, other) = (sealed("a secret"), sealed("a secret"));
    assert_ne!(one[1..25], other[1..25]);
    assert_ne!(one[73..97], other[73..97]);
    assert!(!one.windows(8).any(|window| window == b"a secret"));
}

#[test]
fn a_format_of_a_later_release_is_named() {
    let mut envelope = sealed("a secret");
    envelope[0] = 2;
    let error = sealer().open(&slot(), &envelope).err().unwrap();
    assert_eq!(error.to_string(), "a sealed secret is of format 2, which this release does not know");
}

#[test]
fn a_secret_opens_for_the_origins_that_it_may_be_sent_to_and_no_others() {
    let to = |origins: &[&str]| origins.iter().fold(slot(), |slot, origin| slot.sent_to(*origin));
    let cases: [&[&str]; 6] = [
        &[],
        &["https://a.example"],
        &["https://b.example"],
        &["https://a.example", "https://b.example"],
        &[""],
        &["", ""],
    ];
    for sealed_for in cases {
        let envelope = sealer().seal(&to(sealed_for), b"text").unwrap();
        for opened_for in cases {
            let opens = sealer().open(&to(opened_for), &envelope).is_ok();
            assert_eq!(opens, sealed_for == opened_for, "{sealed_for:?} {opened_for:?}");
        }
    }
}

#[test]
fn an_envelope_is_sealed_anew_without_knowing_where_its_text_may_go() {
    let slot = slot().sent_to("https://a.example");
    let before = sealer().seal(&slot, b"a secret").unwrap();
    let after = sealer().reseal(&other(), slot.place, &before).unwrap();
    assert_eq!(other().open(&slot, &after).unwrap(), b"a secret");
    assert!(sealer().open(&slot, &after).is_err());
    // the text is the very same, and still bound to where it may go
    assert_eq!(before[1 + SEALED_KEY_BYTES..], after[1 + SEALED_KEY_BYTES..]);
    assert!(other().open(&self::slot(), &after).is_err());
}

#[test]
fn an_envelope_that_does_not_belong_where_it_stands_is_not_sealed_anew() {
    let elsewhere = Slot::of_server("2", "env:A");
    let error = sealer().reseal(&other(), elsewhere.place, &sealed("a secret")).err().unwrap();
    let said = "a sealed secret does not open: it was changed, or belongs elsewhere (secret 2 env:A)";
    assert_eq!(error.to_string(), said);
    let error = other().reseal(&sealer(), slot().place, &sealed("a secret")).err().unwrap();
    assert!(matches!(error, VaultError::DoesNotOpen { .. }));
}
