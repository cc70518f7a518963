//! Flips bytes of a file, whether a process uses it or not.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use fastrand::Rng;

use crate::torture::plan::Damage;

/// The blocks of the read model, in bytes. The first two hold sums of blocks and redb's header.
const BLOCK: u64 = 4_096;

/// Damages a file. Returns how many bytes were changed; 0 if the file is missing or has no block.
pub(crate) fn damage(path: &Path, damage: Damage) -> io::Result<u64> {
    let file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let len = file.metadata()?.len();
    if len <= 2 * BLOCK {
        return Ok(0);
    }
    let places: Vec<u64> = match damage {
        Damage::Byte(seed) => vec![Rng::with_seed(seed).u64(..len)],
        Damage::Header(seed) => vec![Rng::with_seed(seed).u64(..2 * BLOCK)],
        Damage::Bytes(seed, count) => {
            let mut rng = Rng::with_seed(seed);
            (0..count).map(|_| rng.u64(..len)).collect()
        }
        Damage::EveryBlock(seed) => {
            let mut rng = Rng::with_seed(seed);
            let blocks = 2..len / BLOCK;
            blocks
                .map(|block| block * BLOCK + rng.u64(..BLOCK))
                .collect()
        }
    };
    for place in &places {
        let mut byte = [0];
        file.read_exact_at(&mut byte, *place)?;
        byte[0] ^= 1 << (place % 8);
        file.write_all_at(&byte, *place)?;
    }
    Ok(places.len() as u64)
}
