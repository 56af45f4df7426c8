export { compareMatrix, type ComparedEdge, type Comparison, type LearnedEdge } from './compare.ts';
export {
  answerText,
  clusterText,
  comparisonSentence,
  comparisonText,
  crossingText,
  errorText,
  limitedText,
  movesText,
  wrap,
  type HostPriority,
  type Limited,
  type Move,
} from './story.ts';
