//! Envelopes under attack.

use proptest::prelude::*;

use super::super::KeySource;
use super::super::master_key::{self, MasterKey};
use super::*;

fn key(base64: &str) -> MasterKey {
    let source = KeySource::Value { name: "a test".to_owned(), value: SecretText::new(base64) };
    master_key::read(&source).unwrap().unwrap()
}

fn sealer() -> Sealer {
    Sealer::new(&key("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
}

fn sealed(text: &str) -> Vec<u8> {
    sealer().seal(Slot::of_server("1", "env:A"), &SecretText::new(text)).unwrap()
}

proptest! {
    #[test]
    fn what_is_sealed_opens_in_its_slot(row in ".*", field in ".*", text in ".*") {
        let slot = Slot::of_server(&row, &field);
        let envelope = sealer().seal(slot, &SecretText::new(text.as_str())).unwrap();
        let opened = sealer().open(slot, &envelope).unwrap();
        prop_assert_eq!(opened.expose(), text);
    }

    #[test]
    fn an_envelope_opens_in_no_other_slot(row in "[a-c]{0,3}", field in "[a-c]{0,3}", other_row in "[a-c]{0,3}", other_field in "[a-c]{0,3}") {
        let (slot, other) = (Slot::of_server(&row, &field), Slot::of_server(&other_row, &other_field));
        let envelope = sealer().seal(slot, &SecretText::new("text")).unwrap();
        prop_assert_eq!(sealer().open(other, &envelope).is_ok(), slot == other);
    }
}

#[test]
fn no_bit_of_an_envelope_can_be_changed() {
    let slot = Slot::of_server("1", "env:A");
    let envelope = sealed("a secret");
    for bit in 0..envelope.len() * 8 {
        let mut edited = envelope.clone();
        edited[bit / 8] ^= 1 << (bit % 8);
        assert!(sealer().open(slot, &edited).is_err(), "bit {bit}");
    }
}

#[test]
fn an_envelope_that_is_cut_or_longer_does_not_open() {
    let slot = Slot::of_server("1", "env:A");
    let mut envelope = sealed("a secret");
    for length in 0..envelope.len() {
        assert!(sealer().open(slot, &envelope[..length]).is_err(), "{length} bytes");
    }
    envelope.push(0);
    assert!(sealer().open(slot, &envelope).is_err());
}

#[test]
fn the_parts_of_two_envelopes_cannot_be_mixed() {
    let slot = Slot::of_server("1", "env:A");
    let (one, other) = (sealed("one"), sealed("other"));
    let mixed = [&one[..=SEALED_KEY_BYTES], &other[1 + SEALED_KEY_BYTES..]].concat();
    assert!(sealer().open(slot, &mixed).is_err());
}

#[test]
fn another_master_key_does_not_open_it() {
    let slot = Slot::of_server("1", "env:A");
    let other = Sealer::new(&key("//////////////////////////////////////////8="));
    let error = other.open(slot, &sealed("a secret")).err().unwrap();
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
    let error = sealer().open(Slot::of_server("1", "env:A"), &envelope).err().unwrap();
    assert_eq!(error.to_string(), "a sealed secret is of format 2, which this release does not know");
}
