import { defineOptions } from '../../lib/config/types.ts';
import { defineSection } from '../command.ts';
import { logOptions } from './common.ts';

export const labSection = defineSection({
  name: 'lab',
  summary: 'The lab: a small cluster of network namespaces on this machine.',
  options: defineOptions({ ...logOptions }),
});
