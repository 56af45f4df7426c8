import { NetloomError, messageOf } from '../errors.ts';

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EISDIR: 'a directory',
  ENOTDIR: 'a path through a file, which is no folder',
  ELOOP: 'a loop of symbolic links',
  ENAMETOOLONG: 'a name that is too long',
  ENOSPC: 'no room left on the device',
  EROFS: 'a file system that is read-only',
};

/** Why a file or folder cannot be read or written, in words: for `found` of an error. Others keep the system's text. */
export function fileProblem(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? '';
  return WORDS[code] ?? messageOf(error);
}

/** EXPORT_FAILED: `what`, as "the placement", could not be written to `place`. */
export function exportFailed(what: string, kind: 'file' | 'folder', place: string, cause: unknown): NetloomError {
  return new NetloomError('EXPORT_FAILED', `${what} cannot be written`, {
    place,
    expected: `a ${kind} that can be written to`,
    found: fileProblem(cause),
    cause,
  });
}
