/**
 * Registry of every error code: what it means and what the reader can do.
 * A test checks that each code is used, and that each code in the sources is registered.
 */
export const ERROR_CODES = {
  CONFIG_INVALID: {
    meaning: 'A flag, environment variable or configuration key has a value that cannot be used.',
    remedy: 'Correct the value; `netloom COMMAND --help` lists the valid ones.',
  },
  CONFIG_UNKNOWN_KEY: {
    meaning: 'The configuration file names a key that does not exist.',
    remedy: 'Use the name that is suggested, or remove the key.',
  },
} as const satisfies Record<string, { meaning: string; remedy: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;
