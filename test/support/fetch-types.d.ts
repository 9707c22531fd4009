/** The types of Connect name it as browsers do; those of Node have it without a name of its own. */
type HeadersInit = NonNullable<RequestInit['headers']>;
