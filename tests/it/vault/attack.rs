//! Envelopes that were edited or moved in the database: none opens.

use atryum::vault::Vault;

use super::kept::Kept;
use super::unlocking::file;
use crate::support::database::Database;

/// How often somebody tries.
const TRIES: usize = 10_000;

/// Numbers that look drawn at random and are the same each time, so that what fails can be looked at.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

#[tokio::test]
async fn of_ten_thousand_envelopes_that_were_edited_or_moved_none_opens() {
    let database = Database::sqlite().await;
    let store = database.open().await;
    let vault = Vault::unlock(file(&database.path("key")), &store).await.unwrap();
    let mut kept = Vec::new();
    for name in 0..8 {
        kept.push(Kept::put(&store, &vault, &format!("s{name}")).await);
    }
    let mut rows = Vec::new();
    for kept in &kept {
        rows.extend(kept.slots().into_iter().zip(kept.sealed(&store).await));
    }
    let mut numbers = Numbers(1);
    let mut refused = 0;
    for _ in 0..TRIES {
        let (one, other) = (numbers.below(rows.len()), numbers.below(rows.len()));
        let ((slot, _), sealed) = &rows[one];
        let moved = &rows[other].1;
        let envelope = match numbers.below(4) {
            0 if one != other => moved.clone(),
            // the data key of one, the text of another
            1 if one != other => [&sealed[..73], &moved[73..]].concat(),
            2 => sealed[..numbers.below(sealed.len())].to_vec(),
            _ => {
                let mut edited = sealed.clone();
                let bit = numbers.below(edited.len() * 8);
                edited[bit / 8] ^= 1 << (bit % 8);
                edited
            }
        };
        assert!(vault.open(slot, &envelope).is_err(), "{slot:?} opened");
        refused += 1;
    }
    assert_eq!(refused, TRIES);
    for kept in &kept {
        kept.demand_readable(&store, &vault).await;
    }
}
