Feature: A bad file harms no other
  A file that cannot be had whole, or is not what was promised, leaves no object and no unfinished upload behind; the
  others land, and the report says what was wrong with it.

  Background:
    Given a source with these files
      | path  | size     |
      | /good | 2000     |
      | /bad  | 11000000 |

  Scenario Outline: <what> ends the file <state>
    Given <what>
    When a job lands all of them
    Then the job is COMPLETED_WITH_FAILURES
    And good is STORED
    And bad is <state> because of <error>
    And nothing is left of bad
    And every stored file is identical to its source
    And failed.jsonl lists bad alone

    Examples:
      | what                              | state    | error                  |
      | bad has another sha256            | REJECTED | DigestMismatchError    |
      | bad has another md5               | REJECTED | DigestMismatchError    |
      | bad has another size              | REJECTED | LengthMismatchError    |
      | bad answers 404                   | FAILED   | SourceStatusError      |
      | bad answers 204                   | FAILED   | SourceStatusError      |
      | bad is cut short                  | FAILED   | SourceRestartError     |
      | bad is on a host nobody serves    | FAILED   | SourceUnreachableError |
      | bad is on a host not allowed      | REJECTED | PolicyError            |
      | bad redirects to a host not allowed | REJECTED | PolicyError          |
      | bad is larger than the job allows | REJECTED | TooLargeError          |
      | bad goes to a bucket not there    | FAILED   | SinkDeniedError        |

  Scenario: A job none of whose files landed has failed
    Given good answers 404
    And bad answers 404
    When a job lands all of them
    Then the job is FAILED because of NoFileLandedError
    And nothing is left of good
    And nothing is left of bad

  Scenario: Two files with one target are refused before any transfer
    Given both files have the key same
    When a job lands all of them
    Then the job is FAILED because of DuplicateTargetError
    And the error names both URLs
    And the source was asked for nothing

  Scenario: What failed is run again from failed.jsonl as it is
    Given bad answers 404
    When a job lands all of them
    And bad is mended
    And a job lands what failed.jsonl of that job lists
    Then the job is COMPLETED
    And 1 files are stored
    And every stored file is identical to its source

  Scenario: No secret of a link is told
    Given every link carries a signature
    And bad answers 404
    When a job lands all of them
    Then the job is COMPLETED_WITH_FAILURES
    And the signature stands in no report, event, row or execution
