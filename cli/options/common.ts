import { defineOptions } from '../../lib/config/types.ts';

/** Logging of long-running commands. */
export const logOptions = defineOptions({
  logLevel: {
    type: 'enum',
    values: ['debug', 'info', 'warn', 'error', 'silent'],
    default: 'info',
    help: 'Least important messages that are logged, to standard error.',
    group: 'Logging',
  },
  logFormat: {
    type: 'enum',
    values: ['text', 'json'],
    default: 'text',
    help: 'Log lines as text (time, level, message, key=value) or as one JSON object each.',
    group: 'Logging',
  },
});

/** `-o` of every command that prints a result. */
export const outputOptions = defineOptions({
  output: {
    type: 'enum',
    values: ['table', 'wide', 'json', 'yaml'],
    default: 'table',
    short: 'o',
    help: 'Form of the result; wide shows every column.',
    group: 'Output',
    configurable: false,
  },
});
