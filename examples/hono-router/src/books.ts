export interface Book {
  id: number;
  title: string;
  author: string;
}

export const books: readonly Book[] = [
  { id: 1, title: "The Voyage of the Beagle", author: "Charles Darwin" },
  { id: 2, title: "The Structure and Distribution of Coral Reefs", author: "Charles Darwin" },
];
