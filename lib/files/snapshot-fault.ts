import { NetloomError } from '../errors.ts';
import type { ScanError } from '../json/json-scanner.ts';
import { placeOfOffset, type FileErrors } from './file-bytes.ts';
import { describeForm } from './wrong-form.ts';

export const SNAPSHOT_FILE: FileErrors = {
  unreadable: 'SNAPSHOT_UNREADABLE',
  truncated: 'SNAPSHOT_TRUNCATED',
  what: 'snapshot file',
};

/**
 * Why a snapshot could not be scanned, with its place in the file.
 * @param head the first bytes of the file, for what it is instead
 * @param forms that are understood, for people
 */
export async function scanFault(path: string, error: ScanError, head: Buffer, forms: string): Promise<NetloomError> {
  const place = await placeOfOffset(path, error.offset, SNAPSHOT_FILE);
  const details = { place, expected: error.expected, found: error.found, cause: error };
  if (error.fault === 'truncated') {
    return new NetloomError('SNAPSHOT_TRUNCATED', 'the snapshot file ends in the middle', details);
  }
  if (error.fault === 'too-large') {
    return new NetloomError('SNAPSHOT_TOO_LARGE', 'the snapshot file holds an object that is too large', details);
  }
  const form = describeForm(head);
  if (form !== undefined) {
    return new NetloomError('SNAPSHOT_WRONG_FORM', 'the snapshot file is not JSON', {
      ...details,
      expected: forms,
      found: form.found,
      ...(form.remedy === undefined ? {} : { remedy: form.remedy }),
    });
  }
  return new NetloomError('SNAPSHOT_SYNTAX', 'the snapshot file is not valid JSON', details);
}
