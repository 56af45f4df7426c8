import type { Section } from '../command.ts';
import { agentSection } from './agent.ts';
import { clientSection } from './client.ts';
import { labSection } from './lab.ts';
import { schedulerSection } from './scheduler.ts';

/** Every section of the configuration file, in the order of its documentation. Declarations only: cheap to load. */
export const SECTIONS: readonly Section[] = [
  agentSection,
  schedulerSection,
  clientSection,
  labSection,
] as unknown as Section[];
