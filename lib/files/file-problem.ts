import { messageOf } from '../errors.ts';

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
