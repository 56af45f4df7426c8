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
