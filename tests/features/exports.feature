Feature: An export API is asked, awaited and listed
  The vendor prepares the files after being asked; the job waits, then lands what the vendor lists.

  Background:
    Given an export API with these files
      | path | size    |
      | /x   | 1000    |
      | /y   | 6000000 |

  Scenario: The job waits until the export is done
    Given the export takes 2 polls
    When a job lands the export
    Then the job is COMPLETED
    And the API was asked to start 1 time and polled 3 times
    And every stored file is identical to its source

  Scenario: A reply that is complete at once needs no waiting
    Given the start request answers with the list
    When a job lands the export
    Then the job is COMPLETED
    And the API was asked to start 1 time and polled 0 times

  Scenario: An export that fails fails the job
    Given the export fails at the vendor
    When a job lands the export
    Then the job is FAILED because of ExportFailedError
    And 0 files are stored

  Scenario: An API that does not answer with JSON fails the job
    Given the API answers with a page of HTML
    When a job lands the export
    Then the job is FAILED because of ReplyNotJsonError

  Scenario: A digest the vendor states is held against the bytes
    Given the vendor states a wrong digest for x
    When a job lands the export
    Then the job is COMPLETED_WITH_FAILURES
    And x is REJECTED because of DigestMismatchError
    And nothing is left of x
