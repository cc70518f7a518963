//! Tests of the checked file: it is a file like any other, until one bit of it changes.

use std::sync::Arc;

use proptest::prelude::*;
use redb::backends::InMemoryBackend;

use super::*;

fn open(disk: Disk) -> io::Result<CheckedFile<Disk>> {
    let file = CheckedFile::new(disk, Health::default());
    file.len().map(|_| file)
}

/// The length of so many bytes.
fn len_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap()
}

/// Bytes that outlive the backend that uses them.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<InMemoryBackend>);

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Resize { blocks: u64 },
    Write { at: u64, blocks: u64, fill: u8 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    // Near the end of a group, where the sums of the next one stand.
    let at = prop_oneof![0..6_u64, GROUP_BLOCKS - 4..GROUP_BLOCKS + 4];
    prop_oneof![
        prop_oneof![1..8_u64, GROUP_BLOCKS - 2..GROUP_BLOCKS + 8]
            .prop_map(|blocks| Step::Resize { blocks }),
        (at, 1..6_u64, any::<u8>()).prop_map(|(at, blocks, fill)| Step::Write { at, blocks, fill }),
        Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_checked_file_reads_what_was_written_and_zeros_elsewhere(
        steps in prop::collection::vec(step(), 1..24),
    ) {
        let (disk, plain) = (Disk::default(), InMemoryBackend::new());
        let mut checked = open(disk.clone()).unwrap();
        for step in steps {
            match step {
                Step::Resize { blocks } => {
                    plain.set_len(blocks * BLOCK).unwrap();
                    checked.set_len(blocks * BLOCK).unwrap();
                }
                Step::Write { at, blocks, fill } => {
                    let bytes = vec![fill; len_of(blocks * BLOCK)];
                    if (at + blocks) * BLOCK <= plain.len().unwrap() {
                        plain.write(at * BLOCK, &bytes).unwrap();
                        checked.write(at * BLOCK, &bytes).unwrap();
                    }
                }
                Step::Reopen => {
                    checked.sync_data().unwrap();
                    checked = open(disk.clone()).unwrap();
                }
            }
            let len = plain.len().unwrap();
            prop_assert_eq!(checked.len().unwrap(), len);
            let (mut expected, mut read) = (vec![0; len_of(len)], vec![0; len_of(len)]);
            if len > 0 {
                plain.read(0, &mut expected).unwrap();
                checked.read(0, &mut read).unwrap();
            }
            prop_assert!(read == expected);
        }
    }

    #[test]
    fn one_flipped_bit_outside_of_the_header_is_an_error(
        place in 0..(8 * BLOCK),
        bit in 0..8_u8,
    ) {
        let disk = Disk::default();
        let checked = open(disk.clone()).unwrap();
        checked.set_len(7 * BLOCK).unwrap();
        for block in 0..7_u8 {
            let place = u64::from(block) * BLOCK;
            checked.write(place, &[0xA0 | block; BLOCK_LEN]).unwrap();
        }
        checked.sync_data().unwrap();
        let mut byte = [0];
        disk.read(place, &mut byte).unwrap();
        disk.write(place, &[byte[0] ^ (1 << bit)]).unwrap();
        let mut read = vec![0; 7 * BLOCK_LEN];
        let result = open(disk).and_then(|file| file.read(0, &mut read));
        let in_header = (BLOCK..2 * BLOCK).contains(&place);
        // The sums of a group have room for more blocks than the file has.
        let in_spare_sums = (7 * 4..BLOCK).contains(&place);
        if in_header || in_spare_sums {
            prop_assert!(result.is_ok());
        } else {
            prop_assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }
}

#[test]
fn parts_of_blocks_are_read_but_not_written() {
    let checked = open(Disk::default()).unwrap();
    checked.set_len(3 * BLOCK).unwrap();
    let bytes: Vec<u8> = (0..2 * BLOCK)
        .map(|at| (at / 31).to_be_bytes()[7])
        .collect();
    checked.write(BLOCK, &bytes).unwrap();
    let mut part = vec![0; 5000];
    checked.read(BLOCK + 77, &mut part).unwrap();
    assert_eq!(part, bytes[77..5077]);
    let error = checked.write(BLOCK + 1, &[1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = checked
        .read(2 * BLOCK, &mut vec![0; 2 * BLOCK_LEN])
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    // redb's header, which has no checksum here.
    checked.write(64, &[1; 128]).unwrap();
    checked.read(0, &mut [0; 320]).unwrap();
}

#[test]
fn a_file_of_another_kind_is_not_opened() {
    let disk = Disk::default();
    disk.set_len(3 * BLOCK).unwrap();
    disk.write(0, b"redb").unwrap();
    let error = open(disk).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}
