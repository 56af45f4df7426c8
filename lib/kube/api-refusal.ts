import { messageOf } from '../errors.ts';

/** What the API server says of an error (meta/v1 Status). */
export interface Status {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
}

/** The API server answered, and not with what was asked for. */
export class ApiRefusal extends Error {
  readonly code: number;
  readonly reason: string;
  /** Seconds. */
  readonly retryAfter: number | undefined;

  constructor({ code, reason, message }: Status, retryAfter: number | undefined) {
    super(`the API server answered ${code}${reason === '' ? '' : ` ${reason}`}${message === '' ? '' : `: ${message}`}`);
    this.code = code;
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

/** Why the collection at `path` could not be listed or watched, for people. */
export function reasonOf(error: unknown, path: string): string {
  if (!(error instanceof ApiRefusal)) return messageOf(error);
  if (error.code === 401) return `${error.message}; the credentials are not accepted: look at the token or certificate`;
  if (error.code === 403)
    return `${error.message}; this account needs get, list and watch of ${path.split('/').pop()!}`;
  return error.message;
}
