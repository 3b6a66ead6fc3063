Feature: Export APIs of every kind
  Vendors differ in how an export is asked for, awaited, listed and cleaned up. A job describes it; nobody writes code.

  Background:
    Given an export API with these files
      | path | size |
      | /x   | 1000 |
      | /y   | 2000 |

  Scenario: An export that was landed is deleted at the vendor
    Given the job says how to finish and to abort an export
    When a job lands the export
    Then the job is COMPLETED
    And the vendor was told to finish 1 time and to abort 0 times

  Scenario: An export that fails is aborted at the vendor
    Given the job says how to finish and to abort an export
    And the export fails at the vendor
    When a job lands the export
    Then the job is FAILED because of ExportFailedError
    And the vendor was told to finish 0 times and to abort 1 time

  Scenario: A status that nobody mentioned is not taken for patience
    Given the job says how to finish and to abort an export
    And the vendor says PAUSED
    When a job lands the export
    Then the job is FAILED because of UnknownStatusError
    And the vendor was told to finish 0 times and to abort 1 time

  Scenario: An export that never ends is given up
    Given the job says how to finish and to abort an export
    And the export takes 99 polls
    And the job asks 3 times at most
    When a job lands the export
    Then the job is FAILED because of ExportTimeoutError
    And the vendor was told to finish 0 times and to abort 1 time

  Scenario: A vendor with nothing to export leaves a job without files
    Given the vendor says EMPTY
    When a job lands the export
    Then the job is COMPLETED
    And 0 files are stored

  Scenario: A long list comes in pages
    Given the list comes a file a page
    When a job lands the export
    Then the job is COMPLETED
    And 2 files are stored
    And every stored file is identical to its source

  Scenario: A list that changes between two pages is not trusted
    Given the list comes a file a page
    And the total changes after the first page
    When a job lands the export
    Then the job is FAILED because of ListChangedError
    And 0 files are stored

  Scenario: The vendor hands out a link for one file at a time
    Given each file's link must be asked for
    When a job lands the export
    Then the job is COMPLETED
    And every stored file is identical to its source

  Scenario: A token that expires while files move is renewed
    Given the API wants a token that it soon forgets
    When a job lands the export
    Then the job is COMPLETED
    And every stored file is identical to its source
    And the file that was refused was asked for again with a new token
    And no token stands in any report, row or execution

  Scenario: A guarded file that failed is had by failed.jsonl alone
    Given the API wants a token that it soon forgets
    And x answers 404
    When a job lands the export
    Then the job is COMPLETED_WITH_FAILURES
    And x is FAILED because of SourceStatusError
    And no token stands in any report, row or execution
    When x is there for whoever has a token
    And a job lands what failed.jsonl of that job lists
    Then the job is COMPLETED
    And x is STORED
    And every stored file is identical to its source

  Scenario: An API that refuses the credentials is named
    Given the API gives nobody a token
    When a job lands the export
    Then the job is FAILED because of CredentialsRefusedError

  Scenario: A job with a field that does not exist never reaches the vendor
    Given the job misspells the status mapping
    When a job lands the export
    Then the job is FAILED because of InvalidJobError
    And the API was asked to start 0 time and polled 0 times

  Scenario: What the vendor says of its progress is seen while the job waits
    Given the export takes 3 polls
    And the vendor says of its progress "40 of 100, ESC see https://acme.example/e1?sig=s3cr3t"
    When a job lands the export
    Then the job is COMPLETED
    And the job's view told of "40 of 100,   see https://acme.example/e1?redacted" while it waited
