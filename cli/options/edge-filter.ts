import { defineOptions } from '../../lib/config/types.ts';

/** What of the graph is shown. */
export const edgeFilterOptions = defineOptions({
  by: {
    type: 'enum',
    values: ['workload', 'pod'],
    default: 'workload',
    help: 'What the ends of an edge are.',
    group: 'What to show',
    configurable: false,
  },
  namespace: {
    type: 'string',
    short: 'n',
    help: 'Only what has an end in this namespace.',
    group: 'What to show',
    configurable: false,
  },
  name: {
    type: 'string',
    help: 'Only what has an end of this name; KIND/NAME where the name alone is ambiguous.',
    group: 'What to show',
    configurable: false,
  },
  limit: {
    type: 'int',
    default: 50,
    min: 1,
    max: 100_000,
    help: 'Most rows; what is left out is summed up.',
    group: 'What to show',
    configurable: false,
  },
});
